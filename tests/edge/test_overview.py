"""All cameras of a machine on one page: two real runs, and `fer-edge web` before them."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from tests.conftest import Run, wait_until
from tests.pages import answers, chromium, faults, free_port, new_tab, screenshot, until


def start(*command: object, **environment: str) -> subprocess.Popen[bytes]:
    """A process of fer-edge."""
    line = [sys.executable, "-m", "fer_edge", *map(str, command)]
    return subprocess.Popen(line, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)


@contextmanager
def started(*command: object, **environment: str) -> Iterator[None]:
    """A process of fer-edge, ended politely."""
    process = start(*command, **environment)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@contextmanager
def camera(folder: Path, name: str) -> Iterator[None]:
    """A run of the demo as systemd starts an instance."""
    (folder / name).mkdir(exist_ok=True)
    with started("run", "demo", "--web", "unix", RUNTIME_DIRECTORY=str(folder / name)):
        yield


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Like /run/fer-edge, with two runs. A socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="fer", dir="/tmp") as name:
        folder = Path(name)
        with camera(folder, "front"), camera(folder, "back"):
            wait_until(lambda: all((folder / name / "web.sock").exists() for name in ("front", "back")))
            yield folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[httpx.Client]:
    """The page of both."""
    port = free_port()
    with (
        started("web", "--listen", port, "--folder", folder),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        wait_until(lambda: answers(client))
        yield client


def names(page: httpx.Client) -> dict[str, bool]:
    """The instances that are shown, and whether each answers."""
    return {found["name"]: found["state"] is not None for found in page.get("/api/instances").json()["instances"]}


def has_picture(page: httpx.Client, name: str) -> bool:
    return page.get(f"/instances/{name}/snapshot.jpg").content[:2] == b"\xff\xd8"


def test_both_cameras_are_on_one_page(page: httpx.Client) -> None:
    wait_until(lambda: names(page) == {"back": True, "front": True})
    wait_until(lambda: all(found["state"]["faces"] for found in page.get("/api/instances").json()["instances"]))
    for name in ("front", "back"):
        assert page.get(f"/instances/{name}/api/state").json()["source"] == "the built-in demo"
        wait_until(partial(has_picture, page, name))
        assert "fer-edge" in page.get(f"/instances/{name}/").text
    with page.stream("GET", "/instances/front/stream.mjpg") as stream:
        assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        assert next(stream.iter_bytes())


def test_the_page_of_both_in_a_browser(page: httpx.Client, tmp_path: Path) -> None:
    with chromium() as browser, new_tab(browser, viewport={"width": 1000, "height": 560}) as tab:
        tab.goto(str(page.base_url))
        shown = "[...document.querySelectorAll('img')].filter((picture) => picture.naturalWidth === 640).length"
        until(tab, f"{shown} === 2")
        until(tab, "[...document.querySelectorAll('.faces')].every((faces) => faces.textContent !== 'nobody')")
        assert faults(tab) == []
        screenshot(tab, "web-cameras.jpg", tmp_path)
        tab.set_viewport_size({"width": 375, "height": 700})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 375
        tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        tab.get_by_text("connected", exact=True).wait_for()
        assert tab.url.endswith("/instances/back/")
        until(tab, "document.querySelector('#picture').naturalWidth === 640")
        until(tab, "document.querySelector('#summary').textContent !== 'nobody'")


def test_only_what_is_meant_to_be_shown_is_passed_on(page: httpx.Client) -> None:
    for path in ("logout", "metrics", "%2e%2e/x", "api/state/x"):
        assert page.get(f"/instances/front/{path}").status_code == 404, path
    for name in ("nobody", "..", "%2e%2e", "a%2fb"):
        assert page.get(f"/instances/{name}/api/state").status_code == 404, name
    assert page.post("/instances/front/logout").status_code == 405
    assert page.get("/api/instances", headers={"Origin": "http://attacker.example"}).status_code == 403
    assert "default-src 'none'" in page.get("/instances/front/").headers["content-security-policy"]


def test_cameras_come_and_go(page: httpx.Client, folder: Path) -> None:
    with camera(folder, "door"):
        wait_until(lambda: names(page).get("door", False))
    assert "door" not in names(page)
    killed = start("run", "demo", "--web", "unix", RUNTIME_DIRECTORY=str(folder / "door"))
    wait_until(lambda: names(page).get("door", False))
    killed.kill()
    killed.wait()
    assert names(page)["door"] is False
    assert page.get("/instances/door/snapshot.jpg").status_code == 503
    with camera(folder, "door"):  # takes the socket over that was left
        wait_until(lambda: names(page).get("door", False))


def test_a_socket_without_a_service_needs_a_path(command: Run, tmp_path: Path) -> None:
    done = command("fer-edge", "run", "demo", "--web", "unix", cwd=tmp_path)
    assert done.returncode == 2
    assert "Give unix:PATH" in done.stderr


def test_the_page_of_all_cameras_may_be_on_a_socket_too(folder: Path) -> None:
    path = folder / "all.sock"
    with (
        started("web", "--listen", f"unix:{path}", "--folder", folder),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost", timeout=20) as client,
    ):
        wait_until(lambda: answers(client))
        assert set(names(client)) >= {"front", "back"}


def test_others_need_a_password(command: Run, tmp_path: Path) -> None:
    done = command("fer-edge", "web", "--listen", "0.0.0.0:0", cwd=tmp_path)
    assert done.returncode == 2
    assert "needs a password" in done.stderr
