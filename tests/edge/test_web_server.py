"""The live page's answers and the limits of its server, in this process and on real sockets."""

import asyncio
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import cv2
import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from tests.conftest import wait_until
from tests.pages import ask_app, free_port

from fer_edge.config import WebConfig
from fer_edge.errors import ConfigError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.sinks.overlay import draw
from fer_edge.types import FaceBox, Frame, FrameResult, Image, Prediction, Track, TrackedFace
from fer_edge.updates.request import REQUEST_VARIABLE
from fer_edge.web.auth import Gate, hash_password, is_loopback
from fer_edge.web.guard import Guard
from fer_edge.web.http_server import HttpServer, check_server, is_known_host
from fer_edge.web.server import WebSink

MANIFEST = load_bundle(find_bundle("ferplus7-tiny")).manifest


def result() -> FrameResult:
    """A happy face on grey."""
    read = Prediction(np.full(7, 1 / 7, np.float32), "happy", 0.5)
    face = TrackedFace(Track(1, FaceBox(110, 80, 80, 80, 0.87), 1, 0), read, read)
    return FrameResult(Frame(np.full((240, 320, 3), 90, np.uint8), 0.0), (face,), {}, MANIFEST.labels)


class Page:
    """A run's page on a socket, and who looks at it."""

    def __init__(self, path: Path, *, score: bool = False, starts_updates: bool = False, **settings: object) -> None:
        config = WebConfig.model_validate({"listen": f"unix:{path}", "fps": 30, **settings})
        self.metrics = Metrics(MANIFEST)
        self.sink = WebSink(config, MANIFEST, "camera 0", self.metrics, score=score, starts_updates=starts_updates)
        self._stack = ExitStack()
        transport = httpx.HTTPTransport(uds=str(path))
        self.viewer = httpx.Client(transport=transport, base_url="http://localhost", timeout=60)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.sink)
        self._stack.enter_context(self.viewer)
        self.sink.emit(result())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.sock"


def decoded(content: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


@pytest.mark.parametrize("score", [False, True])
def test_the_image_is_the_drawn_frame_with_the_score_if_that_is_asked_for(path: Path, score: bool) -> None:
    with Page(path, score=score) as page:
        answer = page.viewer.get("/snapshot.jpg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    near, far = (
        float(np.abs(decoded(answer.content).astype(int) - draw(result(), score=shown)).mean())
        for shown in (score, not score)
    )
    assert near < far


def test_neither_scores_nor_updates_are_offered_unless_they_are_asked_for(path: Path) -> None:
    config = WebConfig(listen=f"unix:{path}")
    transport = httpx.HTTPTransport(uds=str(path))
    with (
        WebSink(config, MANIFEST, "camera 0", Metrics(MANIFEST)) as sink,
        httpx.Client(transport=transport, base_url="http://localhost", timeout=60) as viewer,
    ):
        sink.emit(result())
        shown = decoded(viewer.get("/snapshot.jpg").content).astype(int)
        assert viewer.get("/api/state").json()["model"]["can_update"] is False
    near, far = (float(np.abs(shown - draw(result(), score=score)).mean()) for score in (False, True))
    assert near < far


def test_a_stream_sends_each_image_once(path: Path) -> None:
    with Page(path) as page, page.viewer.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        parts = answer.iter_bytes()
        first = next(parts)
        assert first.startswith(b"--frame\r\nContent-Type: image/jpeg\r\n")
        page.sink.emit(result())
        assert next(parts).startswith(b"--frame\r\n")


def test_who_asks_again_gets_another_image_or_hears_that_there_is_none(path: Path) -> None:
    with Page(path) as page:
        assert page.viewer.get("/snapshot.jpg").status_code == 200
        answer = page.viewer.get("/snapshot.jpg")
    assert (answer.status_code, answer.text) == (503, "there is no image at the moment")
    assert answer.headers["retry-after"] == "2"


def test_hidden_and_missing_images(path: Path) -> None:
    with Page(path, picture="boxes") as page:
        assert float(np.median(decoded(page.viewer.get("/snapshot.jpg").content))) < 10
    with Page(path, picture="none") as page:
        for name in ("snapshot.jpg", "stream.mjpg"):
            answer = page.viewer.get(f"/{name}")
            assert (answer.status_code, answer.text) == (404, "images are switched off: web.picture")


def test_metrics_are_those_of_the_run_and_events_the_state(path: Path) -> None:
    with Page(path, picture="none") as page:
        page.metrics.emit(result())
        answer = page.viewer.get("/metrics")
        assert 'fer_edge_frames_total{result="processed"} 1.0' in answer.text
        assert answer.headers["content-type"].startswith("text/plain; version=")
        with page.viewer.stream("GET", "/api/events") as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            lines = events.iter_lines()
            assert next(lines).startswith('data: {"version":')
            page.sink.remark("the image is black")
            assert '"camera_remark":"the image is black"' in next(line for line in lines if "black" in line)
        well = page.viewer.get("/healthz")
        assert (well.status_code, well.text) == (200, "ok")


def test_the_state_tells_the_source_and_the_model(path: Path) -> None:
    with Page(path, picture="none") as page:
        state = page.viewer.get("/api/state").json()
    assert (state["source"], state["camera"]) == ("camera 0", "online")
    assert (state["model"]["name"], state["model"]["version"]) == (MANIFEST.name, MANIFEST.version)


def test_the_page_has_its_files_with_their_types(path: Path) -> None:
    types = {"": "text/html", "app.js": "text/javascript", "style.css": "text/css", "openapi.json": "application/json"}
    with Page(path, picture="none") as page:
        found = {name: page.viewer.get(f"/{name}") for name in types}
        assert page.viewer.get("/overview.js").status_code == 404
    assert {name: answer.headers["content-type"].partition(";")[0] for name, answer in found.items()} == types
    assert "app.js" in found[""].text


def test_an_update_is_asked_for_where_that_is_allowed_and_there_is_an_updater(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Page(path, picture="none") as page:
        answer = page.viewer.post("/api/update")
        assert (answer.status_code, answer.text) == (403, "the page starts no updates: updates.allow_start")
    monkeypatch.delenv(REQUEST_VARIABLE, raising=False)
    with Page(path, picture="none", starts_updates=True) as page:
        answer = page.viewer.post("/api/update")
        assert answer.status_code == 503
        assert answer.text.startswith("only the service can start an update")
        monkeypatch.setenv(REQUEST_VARIABLE, str(tmp_path / "request"))
        answer = page.viewer.post("/api/update")
        assert (answer.status_code, answer.text) == (202, "asked for")
        assert (tmp_path / "request").exists()
        assert page.viewer.get("/api/update").status_code == 405


def test_a_password_or_a_token_opens_the_page(path: Path) -> None:
    token = "0123456789abcdef"  # noqa: S105 - of a test
    with Page(path, picture="none", password=hash_password("one"), token=token) as page:
        answer = page.viewer.get("/api/state")
        assert (answer.status_code, answer.text) == (401, "log in first, or send a token")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert page.viewer.get("/api/session").status_code == 401
        assert page.viewer.get("/api/state", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        cookie = page.viewer.post("/login", data={"password": "one"}).headers["set-cookie"].lower()
        assert "; secure" not in cookie
        assert page.viewer.get("/api/session").json() == {"login": True}
    with Page(path, picture="none") as page:
        assert page.viewer.get("/api/session").json() == {"login": False}


def test_its_name_is_that_of_the_socket_or_the_port(path: Path) -> None:
    assert Page(path).sink.description == f"the page on {path}"
    config = WebConfig(listen="127.0.0.1:8099")
    assert WebSink(config, MANIFEST, "camera 0", Metrics(MANIFEST)).description == "the page on port 8099"


def test_a_page_that_is_not_required_leaves_the_run_alone(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = WebConfig(listen=str(port), required=False)
        with WebSink(config, MANIFEST, "camera 0", Metrics(MANIFEST)) as sink:
            sink.emit(result())
            assert sink.trouble == f"web.listen {port}: cannot be used (Address already in use)"
        with (
            pytest.raises(ConfigError, match="Address already in use"),
            WebSink(WebConfig(listen=str(port)), MANIFEST, "camera 0", Metrics(MANIFEST)),
        ):
            pass
    assert f"the page on port {port} fails: web.listen {port}: cannot be used" in caplog.text
    assert caplog.text.count("Recognition continues without it") == 1


def test_a_page_whose_server_fails_says_so_and_the_run_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError("no more files")

    monkeypatch.setattr("uvicorn.Server.serve", fail)
    with Page(path) as page:
        wait_until(lambda: bool(page.sink.trouble))
        page.sink.emit(result())
    assert page.sink.trouble == "no more files"
    assert f"the page on {path} fails: no more files. Recognition continues without it" in caplog.text


def test_a_viewer_is_told_of_a_new_image_and_does_not_wait_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.web.app._PICTURE_WAIT", 1000.0)
    with Page(path) as page:
        page.viewer.timeout = httpx.Timeout(15)
        with page.viewer.stream("GET", "/stream.mjpg") as answer:
            parts = answer.iter_bytes()
            for _ in range(3):
                assert next(parts).startswith(b"--frame\r\n")
                page.sink.emit(result())


def test_its_threads_end_with_the_run(path: Path) -> None:
    def threads() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("web "))

    with Page(path) as page:
        assert page.viewer.get("/snapshot.jpg").status_code == 200
        assert threads() == ["web picture", "web server"]
    assert threads() == []


def ask(config: WebConfig, headers: dict[str, str]) -> httpx.Response:
    """One request to something behind the guard."""
    guard = Guard(PlainTextResponse("there it is"), Gate(None, None), is_known_host(config))
    return ask_app(guard, "/", headers=headers)


def test_the_names_of_the_page_are_its_address_this_machine_and_those_of_the_configuration() -> None:
    config = WebConfig(listen="192.0.2.1:8080", hosts=("door.example",))
    known = ["192.0.2.1:8080", "door.example", f"{socket.gethostname()}:8080", "localhost", "[::1]:8080", "127.0.0.9"]
    assert {ask(config, {"Host": host}).status_code for host in known} == {200}
    unknown = ["192.0.2.2", "example", "[fe80::1]", ""]
    refused = [ask(config, {"Host": host}) for host in unknown]
    assert {answer.status_code for answer in refused} == {421}
    assert refused[0].text == "this host name is not known. Add it to web.hosts in the configuration"


def test_a_request_that_names_no_host_is_refused() -> None:
    guard = Guard(PlainTextResponse("there it is"), Gate(None, None), is_known_host(WebConfig(listen="8080")))
    assert ask_app(guard, "/", names_host=False).status_code == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:8080", 200), ("https://localhost:8080", 200), ("http://localhost", 403), ("null", 403)],
)
def test_requests_of_other_sites_are_refused(origin: str, status: int) -> None:
    answer = ask(WebConfig(listen="8080"), {"Host": "localhost:8080", "Origin": origin})
    assert answer.status_code == status
    assert status == 200 or answer.text == "requests from other sites are refused"


def test_every_answer_has_the_headers_of_a_page_that_loads_nothing_from_elsewhere() -> None:
    for headers in ({"Host": "localhost"}, {"Host": "attacker.example"}):
        answer = ask(WebConfig(listen="8080"), headers)
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        names = ("x-content-type-options", "referrer-policy", "cross-origin-resource-policy", "cache-control")
        assert [answer.headers[name] for name in names] == ["nosniff", "same-origin", "same-origin", "no-store"]


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True), ("192.0.2.1", False), ("local", False)],
)
def test_addresses_of_this_machine(host: str, is_own: bool) -> None:
    assert is_loopback(host) is is_own


@pytest.mark.parametrize("hashed", ["secret", "scrypt$c2FsdA==$c2hvcnQ=", "md5$c2FsdA==$" + "A" * 43 + "=", "a$b", ""])
def test_what_is_no_hash_is_said(hashed: str) -> None:
    if hashed:
        with pytest.raises(ConfigError, match=r"^web.password: is no hash. Make one with: fer-edge web password$"):
            Gate(hashed, None)
    else:
        assert Gate(hashed, None).needs_login


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(files[1])]
    command = ["openssl", "req", "-x509", *key, "-out", str(files[0]), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return files


def test_the_cookie_of_an_encrypted_page_is_for_tls_alone(path: Path, certificate: tuple[Path, Path]) -> None:
    transport = httpx.HTTPTransport(uds=str(path), verify=ssl.create_default_context(cafile=certificate[0]))
    with (
        Page(path, picture="none", password=hash_password("one"), certificate=certificate[0], key=certificate[1]),
        httpx.Client(transport=transport, base_url="https://localhost", timeout=60) as viewer,
    ):
        answer = viewer.post("/login", data={"password": "one"})
    assert "; secure" in answer.headers["set-cookie"].lower()


class Served:
    """A server whose page says who asked."""

    def __init__(self, **settings: object) -> None:
        self.port = free_port()
        self.failures: list[str] = []
        self.ended: list[str] = []
        config = WebConfig.model_validate({"listen": str(self.port), **settings})
        routes = [Route("/", self._answer), Route("/large", self._large)]
        self.server = HttpServer(config, Starlette(routes=routes), self.failures.append)

    async def _answer(self, request: Request) -> PlainTextResponse:
        client = request.client
        return PlainTextResponse(client.host if client else "nobody")

    async def _large(self, _request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(65536)
                    await asyncio.sleep(0)
            finally:
                self.ended.append("large")

        return StreamingResponse(parts())

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.settimeout(20)
        return connection

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        yield served


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_nobody_may_say_in_a_header_that_he_is_another(served: Served) -> None:
    answer = httpx.get(f"http://127.0.0.1:{served.port}/", headers={"X-Forwarded-For": "192.0.2.7"})
    assert answer.text == "127.0.0.1"
    assert "server" not in answer.headers


def test_the_end_closes_the_port(served: Served) -> None:
    assert httpx.get(f"http://127.0.0.1:{served.port}/").status_code == 200
    served.server.close()
    with pytest.raises(ConnectionRefusedError):
        served.connect()
    assert served.failures == []


def test_the_end_closes_the_connections_of_viewers(served: Served) -> None:
    with served.connect() as viewer:
        viewer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert viewer.recv(8) == b"HTTP/1.1"
        served.server.close()
        wait_until(lambda: viewer.recv(4096) == b"")


def test_who_stops_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.web.http_server._STALLED_S", 0.2)
    with Served() as served, served.connect() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        viewer.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: bool(served.ended))
        with pytest.raises(ConnectionResetError):
            while viewer.recv(65536):
                pass


def test_a_head_may_come_in_parts(served: Served) -> None:
    with served.connect() as viewer:
        viewer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        viewer.sendall(b"GET / HTTP/1.1\r\nHo")
        other = httpx.get(f"http://127.0.0.1:{served.port}/")  # so the first part has been read
        assert other.status_code == 200
        viewer.sendall(b"st: localhost\r\n\r\n")
        assert viewer.recv(15) == b"HTTP/1.1 200 OK"


def test_a_head_of_more_than_16_kb_is_refused(served: Served) -> None:
    def answer(size: int) -> bytes:
        with served.connect() as connection, suppress(ConnectionError):  # it may close before it has read all
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * size + b"\r\n\r\n")
            return connection.recv(12)
        return b""

    assert answer(15_000) == b"HTTP/1.1 200"
    assert answer(200_000) in {b"HTTP/1.1 400", b""}


def test_who_sends_no_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.web.http_server._REQUEST_S", 0.2)
    with Served() as served, served.connect() as silent, served.connect() as talking:
        talking.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert talking.recv(8) == b"HTTP/1.1"
        silent.sendall(b"GET / HT")
        assert is_closed(silent)
        talking.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: talking.recv(4096).count(b"127.0.0.1") > 0)


def test_one_connection_more_than_allowed_closes_the_oldest_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.web.http_server._MOST_CONNECTIONS", 3)
    with Served() as served, ExitStack() as stack:
        first = stack.enter_context(served.connect())
        first.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert first.recv(8) == b"HTTP/1.1"
        second, third, fourth = (stack.enter_context(served.connect()) for _ in range(3))
        assert is_closed(second)
        for connection in (third, fourth):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(8) == b"HTTP/1.1"


def test_tls_is_served_with_the_certificate(certificate: tuple[Path, Path]) -> None:
    with Served(certificate=certificate[0], key=certificate[1]) as served:
        answer = httpx.get(
            f"https://localhost:{served.port}/", verify=ssl.create_default_context(cafile=certificate[0])
        )
        assert answer.text == "127.0.0.1"
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://localhost:{served.port}/")


def test_only_a_page_for_others_without_tls_warns(
    caplog: pytest.LogCaptureFixture, certificate: tuple[Path, Path]
) -> None:
    port, hashed = free_port(), hash_password("one")
    tls = {"certificate": certificate[0], "key": certificate[1]}
    for listen, settings, warns in (
        (f"127.0.0.1:{port}", {}, False),
        (f"0.0.0.0:{port}", {"password": hashed, **tls}, False),
        (f"0.0.0.0:{port}", {"password": hashed}, True),
    ):
        caplog.clear()
        with Served(listen=listen, **settings):
            warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        expected = f"the page on {listen} is not encrypted: set web.certificate and web.key"
        assert warnings == ([expected] if warns else [])


def test_an_address_of_ipv6_and_one_of_another_machine() -> None:
    port = free_port()
    with Served(listen=f"[::1]:{port}"):
        assert httpx.get(f"http://[::1]:{port}/").text == "::1"
    with pytest.raises(ConfigError, match=r"^web.listen 192.0.2.1:80: cannot be used .Cannot assign requested address"):
        Served(listen="192.0.2.1:80", password=hash_password("one")).server.start()


def test_a_page_is_checked_without_its_port(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    check_server(WebConfig(listen="1", certificate=certificate[0], key=certificate[1]))
    for settings, message in (
        ({"listen": "0.0.0.0:1"}, "web.listen 0.0.0.0:1: can be reached from other machines, so it needs a password. "),
        ({"listen": "1", "password": "plain"}, "web.password: is no hash"),
        ({"listen": "1", "certificate": certificate[1], "key": certificate[1]}, "web.certificate: cannot be used "),
        ({"listen": "1", "certificate": tmp_path / "no", "key": tmp_path / "no"}, "web.certificate: cannot be used "),
    ):
        with pytest.raises(ConfigError, match=f"^{message}"):
            check_server(WebConfig.model_validate(settings))
