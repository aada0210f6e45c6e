"""An operator with an empty repository, and a device that trusts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fleet_repository import PASSPHRASE, Device, Operator
from tests.update_server import UpdateServer, serve_updates

from fer_fleet.keys import Keys


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setenv("FER_FLEET_PASSPHRASE", PASSPHRASE)
    operator = Operator(tmp_path, capsys, monkeypatch)
    operator.do("init", operator.repo)
    return operator


@pytest.fixture
def server(operator: Operator) -> Iterator[UpdateServer]:
    with serve_updates(operator.repo) as server:
        yield server


@pytest.fixture
def keys(operator: Operator) -> Keys:
    return Keys([operator.keys], lambda _: PASSPHRASE)


@pytest.fixture
def device(operator: Operator, server: UpdateServer, tmp_path: Path) -> Device:
    return Device(tmp_path / "device", server.url, (operator.repo / "metadata" / "1.root.json").read_bytes())
