"""docs/fleet.md from its empty folder to three updated devices: with the real programs, web server and broker."""

import json
import os
from pathlib import Path

import pytest
from tests.broker import Broker
from tests.conftest import Run
from tests.fleet_repository import Operator
from tests.update_server import UpdateServer

from fer_edge.updates.releases import position

MODEL = "ferplus7"
# At 33 % the first two get 0.2.0 of ferplus7, and the third does not.
DEVICES = ("kitchen", "hall", "shed")


@pytest.mark.slow
def test_from_an_empty_folder_to_three_updated_devices(
    operator: Operator,
    server: UpdateServer,
    broker: Broker,
    command: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    first = [name for name in DEVICES if position(name, MODEL, "0.2.0") < 33]
    address = f"127.0.0.1:{broker.port}"
    folder = operator.folder / "devices"
    said = operator.do("devices", "add", *DEVICES, "--broker", address, "--folder", folder)
    monkeypatch.setenv("FER_FLEET_MQTT_PASSWORD", said.partition("; password ")[2].split()[0])
    broker.stop()
    broker.configure(*(folder / "mosquitto.conf").read_text().splitlines())
    broker.start()
    for name in DEVICES:
        text = (folder / f"{name}.toml").read_text()
        text = text.replace("/etc/fer-edge/mqtt-password", str(folder / f"{name}.password"))
        root = operator.repo / "metadata" / "1.root.json"
        text += f'\n[updates]\nurl = "{server.url}"\nroot = "{root}"\nmin_fps = 0.1\n'
        (tmp_path / f"{name}.toml").write_text(text)

    def on_each(*words: object) -> None:
        for name in DEVICES:
            config = ("--config", tmp_path / f"{name}.toml")
            home = {**os.environ, "FER_EDGE_MODELS": str(tmp_path / name / "models")}
            done = command("fer-edge", *words, *config, env=home)
            assert done.returncode == 0, done.stderr

    def versions() -> dict[str, str]:
        on_each("run", "demo", "--max-frames", 15)
        content = json.loads(operator.do("status", "--broker", address, "--user", "operator", "--json"))
        return {device["id"]: device["model"].partition("@")[2] for device in content["devices"]}

    assert versions() == dict.fromkeys(DEVICES, "0.1.0")
    operator.do("publish", operator.bundle("0.2.0", name=MODEL, of=MODEL))
    operator.do("promote", "0.2.0", "--percent", 33)
    on_each("models", "update")
    assert versions() == {name: "0.2.0" if name in first else "0.1.0" for name in DEVICES}
    operator.do("rollout", "0.2.0", "--percent", 100)
    on_each("models", "update")
    assert versions() == dict.fromkeys(DEVICES, "0.2.0")
    operator.do("revoke", "0.2.0", "--reason", "reads faces as sad")
    on_each("models", "update")
    assert versions() == dict.fromkeys(DEVICES, "0.1.0")
    shown = operator.do("status", "--broker", address, "--user", "operator")
    assert "stopped" in shown
    print(shown)  # noqa: T201 - for whoever runs it with -s
