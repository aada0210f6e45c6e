"""The live page as an output of a run, on a Unix socket: what it shows, and what it leaves."""

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.clock import Clock

from fer_edge import Frame, FrameResult
from fer_edge.config import WebConfig
from fer_edge.errors import ConfigError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.web.server import WebSink

MANIFEST = load_bundle(find_bundle("ferplus7-tiny")).manifest


def page_at(path: Path, **settings: object) -> WebSink:
    config = WebConfig.model_validate({"listen": f"unix:{path}", "picture": "none", **settings})
    return WebSink(config, MANIFEST, "camera 0", Metrics(MANIFEST))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "door" / "web.sock"


@pytest.fixture
def client(path: Path) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=60) as client:
        yield client


def test_a_lost_camera_and_bad_pictures_are_shown(
    path: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(1000.0)
    monkeypatch.setattr("fer_edge.web.state.time", clock)
    with page_at(path) as page:
        page.emit(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), clock.now, live=True), (), {}))
        state = client.get("/api/state").json()
        assert (state["camera"], state["camera_remark"], state["frames"]) == ("online", "", 1)
        page.remark("the image is black")
        assert client.get("/api/state").json()["camera_remark"] == "the image is black"
        page.waiting("camera 0")
        assert client.get("/api/state").json()["camera"] == "offline"
        assert client.get("/healthz").status_code == 200
        clock.now += 60
        assert (client.get("/healthz").status_code, client.get("/healthz").text) == (503, "no frames")


def test_an_unchanged_state_comes_again_after_two_seconds(path: Path, client: httpx.Client) -> None:
    with page_at(path), client.stream("GET", "/api/events") as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data: {")
        assert next(line for line in lines if line.startswith("event")) == "event: tick"


def test_the_socket_is_the_groups_too_and_goes_with_the_run(path: Path, client: httpx.Client) -> None:
    with page_at(path):
        assert client.get("/healthz").text == "ok"
        mode = path.stat().st_mode
        assert (stat.S_ISSOCK(mode), mode & 0o777) == (True, 0o660)
        with pytest.raises(ConfigError, match="Address already in use"), page_at(path):
            pass
        with page_at(path, required=False) as second:
            assert "Address already in use" in second.trouble
        assert path.is_socket(), "the first one still has it"
    assert not path.exists()


def test_a_socket_that_a_killed_run_left_is_replaced(path: Path, client: httpx.Client) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.is_socket()
    with page_at(path):
        assert client.get("/healthz").text == "ok"
