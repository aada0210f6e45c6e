"""The page of all cameras without processes: runs on real sockets, and what is passed on of them."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.pages import ask_app, free_port

from fer_edge.config import WebConfig
from fer_edge.errors import ConfigError, FerError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.types import Frame, FrameResult
from fer_edge.web.auth import Gate, hash_password
from fer_edge.web.http_server import is_known_host
from fer_edge.web.instances import ask, find_instances, read_state
from fer_edge.web.overview import make_overview, serve_overview
from fer_edge.web.server import WebSink

MANIFEST = load_bundle(find_bundle("ferplus7-tiny")).manifest


def camera(folder: Path, name: str) -> WebSink:
    """The page of a run, as systemd starts an instance."""
    config = WebConfig.model_validate({"listen": f"unix:{folder / name / 'web.sock'}", "fps": 30})
    return WebSink(config, MANIFEST, f"camera {name}", Metrics(MANIFEST))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Like /run/fer-edge. A socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="fer", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def cameras(folder: Path) -> Iterator[dict[str, WebSink]]:
    """Two runs, each of which saw one frame."""
    with ExitStack() as stack:
        sinks = {name: stack.enter_context(camera(folder, name)) for name in ("front", "back")}
        for sink in sinks.values():
            sink.emit(FrameResult(Frame(np.full((48, 64, 3), 90, np.uint8), 0.0), (), {}))
        yield sinks


def get(folder: Path, path: str, gate: Gate | None = None, host: str = "localhost") -> httpx.Response:
    """One request to the page of all cameras."""
    config = WebConfig(listen="8080")
    app = make_overview(folder, gate or Gate(None, None), is_known_host(config), secure=False)
    return ask_app(app, path, base_url=f"http://{host}")


def with_server(folder: Path, name: str, content: bytes, use: Callable[[Path], Awaitable[object]]) -> object:
    """Do something while a socket gives each who asks these bytes, and closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        writer.close()

    async def both() -> object:
        (folder / name).mkdir()
        path = folder / name / "web.sock"
        async with await asyncio.start_unix_server(talk, path):
            return await use(path)

    return asyncio.run(both())


def test_runs_are_found_by_the_names_of_their_folders(folder: Path) -> None:
    for name in ("front", "Back.2", "a@b_c-d", "-x", ".hidden", "two words", "ä", "x;y"):
        (folder / name).mkdir()
        (folder / name / "web.sock").touch()
    (folder / "empty").mkdir()
    (folder / "web.sock").touch()
    found = find_instances(folder)
    assert list(found) == ["-x", "Back.2", "a@b_c-d", "front"]
    assert found["front"] == folder / "front" / "web.sock"
    assert find_instances(folder / "missing") == {}


def test_the_page_lists_all_runs_and_which_of_them_answer(folder: Path, cameras: dict[str, WebSink]) -> None:
    (folder / "dead").mkdir()
    (folder / "dead" / "web.sock").touch()
    answer = get(folder, "/api/instances")
    states = {one["name"]: one["state"] for one in answer.json()["instances"]}
    assert list(states) == ["back", "dead", "front"]
    assert states["dead"] is None
    assert {name: state["source"] for name, state in states.items() if state} == {
        "back": "camera back",
        "front": "camera front",
    }
    assert get(folder / "nothing", "/api/instances").json() == {"instances": []}
    assert set(cameras) == {"front", "back"}


@pytest.mark.usefixtures("cameras")
def test_what_a_run_shows_is_passed_on_with_its_type(folder: Path) -> None:
    kinds = {
        path: get(folder, f"/instances/front/{path}").headers["content-type"].partition(";")[0]
        for path in ("", "app.js", "session.js", "style.css", "snapshot.jpg", "api/state", "openapi.json")
    }
    assert kinds == {
        "": "text/html",
        "app.js": "text/javascript",
        "session.js": "text/javascript",
        "style.css": "text/css",
        "snapshot.jpg": "image/jpeg",
        "api/state": "application/json",
        "openapi.json": "application/json",
    }
    assert get(folder, "/instances/back/api/state").json()["source"] == "camera back"
    assert get(folder, "/instances/back/snapshot.jpg").content[:2] == b"\xff\xd8"


@pytest.mark.usefixtures("cameras")
@pytest.mark.parametrize("path", ["front/healthz", "front/metrics", "front/login", "front/api/update", "side/"])
def test_nothing_else_is_passed_on(folder: Path, path: str) -> None:
    answer = get(folder, f"/instances/{path}")
    assert (answer.status_code, answer.text) == (404, "there is no such camera, or no such page")


def test_a_run_that_does_not_answer_is_said_with_a_time_to_come_again(folder: Path) -> None:
    (folder / "dead").mkdir()
    (folder / "dead" / "web.sock").touch()
    answer = get(folder, "/instances/dead/")
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "dead does not answer", "2")


def test_a_name_without_its_slash_is_led_to_the_page(folder: Path) -> None:
    answer = get(folder, "/instances/front")
    assert (answer.status_code, answer.headers["location"]) == (308, "/instances/front/")


def test_the_page_has_its_own_files_and_the_guard(folder: Path) -> None:
    assert get(folder, "/healthz").text == "ok"
    page = get(folder, "/")
    assert "overview.js" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    kinds = {name: get(folder, f"/{name}").headers["content-type"].partition(";")[0] for name in page_files(page.text)}
    assert kinds == {"overview.js": "text/javascript", "session.js": "text/javascript", "style.css": "text/css"}
    assert get(folder, "/", host="attacker.example").status_code == 421
    locked = Gate(None, "a token")
    assert get(folder, "/api/session", locked).status_code == 200


def page_files(page: str) -> list[str]:
    return [name for name in ("overview.js", "session.js", "style.css", "app.js") if name in page]


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
    (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", None),
    (b"SSH-2.0-OpenSSH\r\n\r\n", None),
    (b"", None),
]


@pytest.mark.parametrize(("sent", "read"), ANSWERS)
def test_a_state_is_what_a_whole_answer_holds(folder: Path, sent: bytes, read: bytes | None) -> None:
    assert with_server(folder, "one", sent, read_state) == read


def test_an_answer_without_a_type_is_text(folder: Path) -> None:
    async def first(path: Path) -> tuple[int, str, list[bytes]]:
        answer = await ask(path, "/")
        return answer.status, answer.content_type, [part async for part in answer.body()]

    sent = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"
    assert with_server(folder, "one", sent, first) == (404, "text/plain", [b"gone"])


def test_what_speaks_no_http_is_an_error(folder: Path) -> None:
    async def first(path: Path) -> str:
        with pytest.raises(ConnectionError) as failed:
            await ask(path, "/")
        return str(failed.value)

    assert "ConnectionClosed" in str(with_server(folder, "closed", b"", first))
    assert with_server(folder, "hint", b"HTTP/1.1 103 Early Hints\r\n\r\n", first) == "no HTTP answer"
    assert "illegal" in str(with_server(folder, "ssh", b"SSH-2.0-OpenSSH\r\n\r\n", first))


def test_a_run_that_hangs_is_waited_for_a_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.web.instances._ANSWER_S", 0.1)
    sent: list[bytes] = []

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent[0])
        await over.wait()
        writer.close()

    async def both() -> tuple[bytes | None, bytes | None]:
        async with await asyncio.start_unix_server(talk, folder / "s"):
            answers = []
            for content in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"):
                sent[:] = [content]
                answers.append(await asyncio.wait_for(read_state(folder / "s"), 30))
            over.set()
            return answers[0], answers[1]

    over = asyncio.Event()
    assert asyncio.run(both()) == (None, None)


def test_a_request_names_its_path_its_host_and_its_end(folder: Path) -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def both() -> None:
        async with await asyncio.start_unix_server(talk, folder / "s"):
            answer = await ask(folder / "s", "/api/state")
            assert [part async for part in answer.body()] == []

    asyncio.run(both())
    assert asked[0].lower() == b"get /api/state http/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def test_the_server_tells_its_address_and_ends_when_it_is_told_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = WebConfig(listen=str(free_port()))
    answers: list[httpx.Response] = []

    def use_and_stop(stop: Callable[[], None]) -> None:
        with httpx.Client(base_url=config.url, timeout=60) as client:
            answers.append(client.get("/api/instances"))
        stop()

    serve_overview(config, folder, use_and_stop)
    assert answers[0].json() == {"instances": []}
    assert f"all cameras on one page: {config.url}" in capsys.readouterr().err


def test_the_page_has_the_password_and_the_token_of_its_configuration(folder: Path) -> None:
    token = "0123456789abcdef"  # noqa: S105 - of a test
    settings = {"listen": str(free_port()), "password": hash_password("one"), "token": token}
    config = WebConfig.model_validate(settings)
    codes: list[int] = []
    cookies: list[str] = []

    def use_and_stop(stop: Callable[[], None]) -> None:
        with httpx.Client(base_url=config.url, timeout=60) as client:
            codes.append(client.get("/api/instances").status_code)
            codes.append(client.get("/api/instances", headers={"Authorization": f"Bearer {token}"}).status_code)
            cookies.append(client.post("/login", data={"password": "one"}).headers["set-cookie"].lower())
        stop()

    serve_overview(config, folder, use_and_stop)
    assert codes == [401, 200]
    assert "; secure" not in cookies[0]


def test_others_may_reach_the_page_with_a_password_alone(folder: Path) -> None:
    with pytest.raises(ConfigError, match="can be reached from other machines, so it needs a password"):
        serve_overview(WebConfig(listen="0.0.0.0:8080"), folder, lambda _stop: None)


def test_a_port_in_use_is_said(folder: Path) -> None:
    config = WebConfig(listen=str(free_port()))

    def second(stop: Callable[[], None]) -> None:
        with pytest.raises(FerError, match=f"web.listen {config.listen}: cannot be used .Address already in use"):
            serve_overview(config, folder, lambda _stop: None)
        stop()

    serve_overview(config, folder, second)


def test_a_server_that_fails_ends_the_command_with_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError("no more files")

    monkeypatch.setattr("uvicorn.Server.serve", fail)
    listen = f"unix:{folder / 's'}"
    with pytest.raises(FerError, match=f"^the page on {listen}: no more files$"):
        serve_overview(WebConfig(listen=listen), folder, lambda _stop: None)
    assert not (folder / "s").exists()


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_is_for_tls_alone_where_the_page_is_encrypted(folder: Path, secure: bool) -> None:
    app = make_overview(folder, Gate(hash_password("one"), None), lambda _name: True, secure=secure)
    answer = ask_app(app, "/login", "POST", data={"password": "one"})
    assert ("; secure" in answer.headers["set-cookie"].lower()) is secure
