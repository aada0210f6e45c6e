"""The live page: over real HTTP, and in a real browser where one is installed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import httpx
import jsonschema
import numpy as np
import pytest
from tests.conftest import Run, wait_until

from fer_edge import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.sinks.blur import FaceBlur
from fer_edge.web.auth import Gate, hash_password

PASSWORD = "correct horse battery"  # noqa: S105 - of a test
TOKEN = "0123456789abcdef0123"  # noqa: S105
CHROMIUM = shutil.which("chromium")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(tmp_path: Path, web: str, *options: object, port: int | None = None) -> Iterator[httpx.Client]:
    """A run of the demo with the page, and a client for it."""
    port = port or free_port()
    config = tmp_path / "config.toml"
    config.write_text(f'[web]\nlisten = "{port}"\n{web}')
    command = [sys.executable, "-m", "fer_edge", "run", "demo", "--config", config, *options]
    with (tmp_path / "stderr.txt").open("ab") as log:
        process = subprocess.Popen([*map(str, command)], stderr=log, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until(lambda: answers(client))
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (tmp_path / "stderr.txt").read_text()


def answers(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/healthz").status_code == 200
    return False


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An open page, shared by the tests that only read."""
    with running(tmp_path_factory.mktemp("page"), "") as client:
        yield client


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A page with a password and a token."""
    web = f'password = "{hash_password(PASSWORD)}"\ntoken = "{TOKEN}"\n'
    with running(tmp_path_factory.mktemp("locked"), web) as client:
        yield client


def test_the_state_tells_who_is_in_view(page: httpx.Client) -> None:
    wait_until(lambda: bool(page.get("/api/state").json()["faces"]))
    state = page.get("/api/state").json()
    (face,) = state["faces"]
    assert face["probabilities"][face["label"]] == max(face["probabilities"].values()) == face["confidence"]
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert list(face["probabilities"]) == state["model"]["labels"]
    assert state["camera"] == "online"
    wait_until(lambda: 5 < page.get("/api/state").json()["fps"] < 40)
    wait_until(lambda: any(step.values() for step in page.get("/api/state").json()["timeline"]["steps"]))
    frames = state["frames"]
    wait_until(lambda: page.get("/api/state").json()["frames"] > frames)


def test_answers_are_as_the_openapi_file_says(page: httpx.Client) -> None:
    schema = page.get("/openapi.json").json()
    jsonschema.validate(page.get("/api/state").json(), schema["components"]["schemas"]["State"])
    for path, answers_of in schema["paths"].items():
        with page.stream("GET", path) as answer:
            documented = answers_of["get"]["responses"][str(answer.status_code)]["content"]
            assert answer.headers["content-type"].partition(";")[0] in documented, path
    refused = page.get("/api/state", headers={"Host": "attacker.example"})
    assert str(refused.status_code) in schema["paths"]["/api/state"]["get"]["responses"]


def test_the_snapshot_is_the_annotated_picture(page: httpx.Client) -> None:
    wait_until(lambda: page.get("/snapshot.jpg").status_code == 200)
    answer = page.get("/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (480, 640, 3)
    assert image.std(axis=2).max() > 20, "the demo is grey: colour is the annotation's"


def test_the_stream_gives_new_pictures_one_after_the_other(page: httpx.Client) -> None:
    content = b""
    with page.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        for part in answer.iter_bytes():
            content += part
            if content.count(b"--frame\r\n") > 5:
                break
    pictures = [piece.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for piece in content.split(b"--frame\r\n")[1:-1]]
    assert len(set(pictures)) == len(pictures)
    assert all(picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9") for picture in pictures)


def test_events_come_with_each_change(page: httpx.Client) -> None:
    labels: list[str] = []
    with page.stream("GET", "/api/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                labels += [face["label"] for face in json.loads(line.removeprefix("data: "))["faces"]]
            if len(set(labels)) > 1:
                break
    assert len(labels) < 40, "once per change, not per frame"


def test_metrics_have_standard_names_and_count_on(page: httpx.Client) -> None:
    def count(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", page.get("/metrics").text, re.MULTILINE)
        assert found, name
        return float(found[1])

    before = count('fer_edge_frames_total{result="processed"}')
    wait_until(lambda: count('fer_edge_frames_total{result="processed"}') > before)
    assert count("fer_edge_source_up") == 1
    assert count("fer_edge_faces") in {0, 1}
    assert count('fer_edge_frame_seconds_count{stage="classify"}') >= before
    assert count('fer_edge_face_seconds_total{label="contempt"}') if "contempt" in page.get("/metrics").text else True
    assert 'sink="' in page.get("/metrics").text


def test_every_answer_keeps_other_sites_out(page: httpx.Client) -> None:
    for path in ("/", "/api/state", "/healthz", "/nothing"):
        headers = page.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert page.get("/api/state", headers={"Host": "attacker.example"}).status_code == 421
    assert page.get("/api/state", headers={"Origin": "http://attacker.example"}).status_code == 403
    assert page.get("/api/state", headers={"Host": f"localhost:{page.base_url.port}"}).status_code == 200
    assert not any(re.search(r"<script>|\son\w+=|\sstyle=", page.get(path).text) for path in ("/", "/login"))


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/%2e%2e/app.py", "/static/index.html", "//etc/passwd"])
def test_no_other_file_is_served(page: httpx.Client, path: str) -> None:
    assert page.get(path).status_code == 404


def test_nothing_is_told_before_the_login(locked: httpx.Client) -> None:
    for path in ("/api/state", "/api/events", "/snapshot.jpg", "/stream.mjpg", "/app.js", "/openapi.json"):
        assert locked.get(path).status_code == 401, path
    assert locked.get("/", follow_redirects=False).headers["location"] == "/login"
    assert locked.get("/metrics").status_code == locked.get("/healthz").status_code == 200


def test_login_and_logout(locked: httpx.Client) -> None:
    with httpx.Client(base_url=locked.base_url) as visitor:
        wrong = visitor.post("/login", data={"password": "no"})
        assert wrong.headers["location"] == "/login?wrong"
        right = visitor.post("/login", data={"password": PASSWORD})
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert visitor.get("/api/state").status_code == 200
        visitor.post("/logout")
        assert visitor.get("/api/state").status_code == 401


def test_programs_send_a_token(locked: httpx.Client) -> None:
    assert locked.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert locked.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401
    assert locked.get("/api/state", headers={"Authorization": "Bearer"}).status_code == 401
    assert locked.get("/api/state", headers={"Cookie": "fer_edge_session=9999999999.00.00"}).status_code == 401


def test_no_secret_is_told(locked: httpx.Client) -> None:
    text = locked.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}"}).text + locked.get("/metrics").text
    assert TOKEN not in text
    assert "scrypt" not in text


def test_a_flood_of_logins_has_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, f'password = "{hash_password(PASSWORD)}"\n') as client:
        codes = [client.post("/login", data={"password": "guess"}).status_code for _ in range(7)]
        assert codes == [303] * 5 + [429] * 2
        assert client.post("/login", data={"password": PASSWORD}).status_code == 429
        large = client.post("/login", content=b"x" * 100_000)
        assert large.status_code in {413, 429}


def test_a_session_outlives_a_restart_and_ends_with_a_new_password() -> None:
    old, same, other = Gate(hashed := hash_password("one"), None), Gate(hashed, None), Gate(hash_password("one"), None)
    cookie = old.new_session()
    assert same.lets_in(cookie, None)
    assert not other.lets_in(cookie, None)
    assert not same.lets_in(cookie.replace(cookie[0], "9", 1), None)


def test_silent_and_slow_connections_are_closed(page: httpx.Client) -> None:
    address = ("127.0.0.1", page.base_url.port or 0)
    held = [socket.create_connection(address) for _ in range(300)]
    held[0].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    assert page.get("/healthz").status_code == 200, "the newest connection is served"
    for connection in (held[0], held[-1]):
        connection.settimeout(30)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""  # closed by the server
    for connection in held:
        connection.close()
    wait_until(lambda: answers(page))


def test_floods_of_headers_are_refused(page: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", page.base_url.port or 0), timeout=10) as connection:
        with suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n")
        with suppress(ConnectionError):
            assert b" 400 " in connection.recv(4096)
    assert page.get("/healthz").status_code == 200


def test_a_stalled_viewer_does_not_stop_the_others(page: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", page.base_url.port or 0)) as stalled:
        stalled.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(3)
        frames = page.get("/api/state").json()["frames"]
        wait_until(lambda: page.get("/api/state").json()["frames"] > frames + 20)
        wait_until(lambda: page.get("/snapshot.jpg").status_code == 200)


@pytest.mark.parametrize("picture", ["none", "boxes", "blurred"])
def test_pictures_can_be_reduced_or_switched_off(tmp_path: Path, picture: str) -> None:
    with running(tmp_path, f'picture = "{picture}"\n') as client:
        wait_until(lambda: bool(client.get("/api/state").json()["faces"]))
        wait_until(lambda: client.get("/snapshot.jpg").status_code == (404 if picture == "none" else 200))
        answer = client.get("/snapshot.jpg")
        if picture == "none":
            assert answer.status_code == client.get("/stream.mjpg").status_code == 404
            return
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        if picture == "boxes":
            assert float(np.median(image)) < 10


def test_another_machine_needs_a_password(command: Run, tmp_path: Path) -> None:
    refused = command("fer-edge", "run", "demo", "--web", "0.0.0.0:8099", "--max-frames", 2, cwd=tmp_path)
    assert refused.returncode == 2
    assert "needs a password" in refused.stderr


def test_a_port_in_use_is_one_line(command: Run, tmp_path: Path, page: httpx.Client) -> None:
    port = page.base_url.port
    refused = command("fer-edge", "run", "demo", "--web", port, "--max-frames", 2, cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "Address already in use" in refused.stderr


@pytest.mark.parametrize("listen", ["eighty", "host:", ":99999", ""])
def test_a_wrong_address_names_the_key(command: Run, tmp_path: Path, listen: str) -> None:
    refused = command("fer-edge", "run", "demo", "--web", listen, "--max-frames", 2, cwd=tmp_path)
    assert refused.returncode == 2
    assert "HOST:]PORT" in refused.stderr


def test_the_password_command_prints_a_hash_alone(command: Run, tmp_path: Path) -> None:
    done = command("fer-edge", "web", "password", "--password", PASSWORD, cwd=tmp_path)
    assert PASSWORD not in done.stdout
    hashed = re.search(r'password = "(scrypt\$[^"]+)"', done.stdout)
    assert hashed
    gate = Gate(hashed[1], None)
    assert gate.check_password(PASSWORD)
    assert not gate.check_password(PASSWORD + " ")
    assert command("fer-edge", "web", "password", "--password", "short", cwd=tmp_path).returncode == 2


def test_metrics_go_to_a_text_file_without_a_port(command: Run, tmp_path: Path) -> None:
    config, text = tmp_path / "config.toml", tmp_path / "fer.prom"
    config.write_text(f'[prometheus]\ntextfile = "{text}"\n')
    assert command("fer-edge", "run", "demo", "--config", config, "--max-frames", 5, cwd=tmp_path).returncode == 0
    assert 'fer_edge_frames_total{result="processed"} 1.0' in text.read_text()


def result(image: np.ndarray[Any, np.dtype[np.uint8]], at: float, *boxes: FaceBox) -> FrameResult:
    read = Prediction(np.array([1.0], np.float32), "happy", 1.0)
    faces = tuple(TrackedFace(Track(number, box, 1.0, 0.0), read, read) for number, box in enumerate(boxes, start=1))
    return FrameResult(Frame(image, at), faces, {})


def test_blur_hides_the_face_a_margin_around_it_and_gaps() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (240, 320, 3)).astype(np.uint8)
    blur, box = FaceBlur(), FaceBox(100, 80, 60, 60)
    hidden = blur.apply(result(image, 0.0, box)).frame.image
    assert hidden is not image
    colours = {tuple(pixel) for pixel in hidden[66:154, 86:174].reshape(-1, 3)}
    assert len(colours) <= 36, "six by six cells at most, 15 pixels around the box too"
    assert (hidden[:60] == image[:60]).all()
    assert (hidden[:, :80] == image[:, :80]).all()
    gap = blur.apply(result(image, 0.9)).frame.image
    assert (gap[80:140, 100:160] == hidden[80:140, 100:160]).all()
    assert (blur.apply(result(image, 1.2)).frame.image == image).all()


def test_a_blurred_run_records_no_face(command: Run, tmp_path: Path) -> None:
    config, lines = tmp_path / "config.toml", tmp_path / "out.jsonl"
    config.write_text("blur = true\n")
    sharpness: list[float] = []
    for name, options in (("plain.mkv", ()), ("hidden.mkv", ("--config", config))):
        outputs = ("--record", tmp_path / name, "--json", lines)
        done = command("fer-edge", "run", "demo", "--max-frames", 20, *outputs, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        capture = cv2.VideoCapture(str(tmp_path / name))
        while (read := capture.read())[0]:
            last = cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY).astype(float)
        (face,) = json.loads(lines.read_text().splitlines()[-1])["faces"]
        x, y, width, height = (round(side) for side in face["box"])
        inner = last[y + height // 5 : y + height * 4 // 5, x + width // 5 : x + width * 4 // 5]
        sharpness.append(float(np.mean(np.diff(inner, axis=1) != 0)))  # a coarse pixel is of one grey
    assert sharpness[1] < 0.6 * sharpness[0], sharpness


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("no browser: sudo apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield chromium
        chromium.close()


def test_the_page_in_a_browser(browser: Any, page: httpx.Client, tmp_path: Path) -> None:
    errors: list[str] = []
    tab = browser.new_page(viewport={"width": 1100, "height": 800})
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(str(page.base_url))
    until(tab, "document.querySelector('#link').textContent === 'connected'")
    until(tab, "document.querySelector('#summary').textContent !== 'nobody'")
    first = tab.inner_text("#summary")
    wait_until(lambda: tab.inner_text("#summary") not in {"nobody", first})
    until(tab, "document.querySelector('#picture').naturalWidth === 640")
    until(tab, "document.querySelectorAll('#timeline rect').length > 1")
    assert "ferplus7" in tab.inner_text("#device")
    assert tab.locator("meter").count() == 7
    screenshot(tab, "web.png", tmp_path)
    tab.set_viewport_size({"width": 375, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375
    tab.emulate_media(color_scheme="dark")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(23, 23, 22)"
    screenshot(tab, "web-phone.png", tmp_path)
    tab.close()
    assert not errors


def test_login_in_a_browser(browser: Any, locked: httpx.Client) -> None:
    tab = browser.new_page()
    tab.goto(str(locked.base_url))
    tab.fill("#password", PASSWORD)
    tab.keyboard.press("Enter")
    tab.get_by_text("connected", exact=True).wait_for()
    tab.click("text=Log out")
    tab.wait_for_selector("#password")
    tab.close()


def test_the_page_comes_back_after_a_restart(browser: Any, tmp_path: Path) -> None:
    port, tab = free_port(), browser.new_page()
    with running(tmp_path, "", port=port) as client:
        tab.goto(str(client.base_url))
        wait_until(lambda: tab.inner_text("#link") == "connected")
    wait_until(lambda: tab.inner_text("#link").startswith("connection lost"))
    with running(tmp_path, "", port=port):
        wait_until(lambda: tab.inner_text("#link") == "connected")
        until(tab, "document.querySelector('#picture').naturalWidth === 640")
    tab.close()


def until(tab: Any, expression: str) -> None:
    """Wait until this JavaScript is true."""
    wait_until(lambda: bool(tab.evaluate(expression)))


def screenshot(tab: Any, name: str, tmp_path: Path) -> None:
    """Keep a picture of the page: in docs/ where FER_SCREENSHOTS names that folder."""
    tab.screenshot(path=str(Path(os.environ.get("FER_SCREENSHOTS", tmp_path)) / name))
