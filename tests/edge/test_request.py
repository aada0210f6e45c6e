"""Whoever may ask the updater to look for a new model, when that is heard, and when it is answered or forgotten."""

import os
from pathlib import Path

import pytest
from tests.clock import Clock

from fer_edge.errors import FerError
from fer_edge.updates import request
from fer_edge.updates.latest import Latest, write_latest
from fer_edge.updates.request import is_requested, request_update


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still, on a whole second."""
    clock = Clock()
    monkeypatch.setattr(request, "time", clock)
    return clock


@pytest.fixture
def asked(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001
    """The file that a request writes."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", str(tmp_path / "look"))
    return tmp_path / "look"


def age(asked: Path, clock: Clock, seconds: float) -> None:
    """Let the last request be so old."""
    asked.write_text("before\n")
    os.utime(asked, (clock.time() - seconds, clock.time() - seconds))


def looked(tmp_path: Path, at: float) -> None:
    """Let the updater have looked."""
    write_latest(Latest("mine", "1", "1", "Nothing newer is offered.", at), tmp_path / "models")


def test_a_request_writes_a_file_for_the_updater(asked: Path, clock: Clock) -> None:
    assert not is_requested()
    request_update()
    assert asked.read_text() == f"{clock.time():.0f}\n"


@pytest.mark.parametrize(
    ("seconds", "is_asked"), [(0, False), (0.5, False), (59.5, False), (60, True), (3600, True), (-0.5, True)]
)
def test_two_requests_are_a_minute_apart_unless_the_clock_was_set_back(
    asked: Path, clock: Clock, seconds: float, is_asked: bool
) -> None:
    age(asked, clock, seconds)
    request_update()
    assert (asked.read_text() != "before\n") is is_asked


@pytest.mark.parametrize(("seconds", "waits"), [(0, True), (0.5, True), (899.5, True), (900, False), (-0.5, False)])
def test_a_request_waits_for_a_quarter_of_an_hour(asked: Path, clock: Clock, seconds: float, waits: bool) -> None:
    age(asked, clock, seconds)
    assert is_requested() is waits


@pytest.mark.parametrize(("later", "waits"), [(-1.0, True), (0.0, False), (1.0, False)])
def test_a_request_waits_until_the_updater_has_looked(
    asked: Path, clock: Clock, tmp_path: Path, later: float, waits: bool
) -> None:
    age(asked, clock, 30)
    looked(tmp_path, clock.time() - 30 + later)
    assert is_requested() is waits


def test_outside_of_the_service_nobody_can_be_asked(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("FER_EDGE_UPDATE_REQUEST")
        else:
            monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", value)
        with pytest.raises(FerError) as caught:
            request_update()
        assert str(caught.value) == "only the service can start an update. Elsewhere: fer-edge models update"
        assert not is_requested()
    assert not asked.exists()


def test_an_updater_that_is_not_installed_is_said_with_how_to_install_it(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = asked / "no" / "look"
    monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", str(path))
    with pytest.raises(FerError) as caught:
        request_update()
    assert str(caught.value) == (
        f"{path}: the updater cannot be asked (No such file or directory). "
        "Install it: sudo systemd/install.sh --root root.json"
    )
