"""Logging in to the live page, without a server: cookies, sizes and host names."""

from collections.abc import Mapping

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.clock import Clock
from tests.pages import ask_app

from fer_edge.config import WebConfig
from fer_edge.web.auth import Gate, hash_password
from fer_edge.web.guard import Guard, login_routes
from fer_edge.web.http_server import is_known_host

PASSWORD = "correct horse battery"  # noqa: S105 - of a test


@pytest.fixture(scope="module")
def hashed() -> str:
    return hash_password(PASSWORD)


def ask(
    gate: Gate,
    method: str,
    path: str,
    *,
    secure: bool = False,
    host: str = "door",
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> httpx.Response:
    """One request to a page that holds nothing but the login."""

    async def page(_request: object) -> PlainTextResponse:
        return PlainTextResponse("the page")

    app = Starlette(
        routes=[*login_routes(gate, secure=secure), Route("/", page)],
        middleware=[
            Middleware(Guard, gate=gate, is_known_host=is_known_host(WebConfig(listen="8080", hosts=("door",))))
        ],
    )
    return ask_app(app, path, method, base_url=f"http://{host}", headers=headers, content=content)


def log_in(gate: Gate, *, secure: bool = False, headers: Mapping[str, str] | None = None) -> str:
    """The cookie, with its attributes."""
    content = f"password={PASSWORD}".encode()
    answer = ask(gate, "POST", "/login", secure=secure, headers=headers, content=content)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return answer.headers["set-cookie"].lower()


def test_a_session_is_a_cookie_of_30_days_that_scripts_and_other_sites_cannot_use(hashed: str) -> None:
    gate = Gate(hashed, None)
    value, *attributes = [part.strip() for part in log_in(gate).split(";")]
    assert {"httponly", "samesite=strict", "max-age=2592000", "path=/"} <= set(attributes)
    assert "secure" not in attributes, "it would not be sent without TLS"
    assert ask(gate, "GET", "/").headers["location"] == "/login"
    assert ask(gate, "GET", "/", headers={"Cookie": value}).text == "the page"
    assert ask(gate, "GET", "/", headers={"Cookie": f"{value}0"}).status_code == 303
    out = ask(gate, "POST", "/logout", headers={"Cookie": value})
    assert out.headers["location"] == "/login"
    assert "max-age=0" in out.headers["set-cookie"].lower()


def test_with_tls_here_or_in_a_proxy_the_cookie_is_for_tls_alone(hashed: str) -> None:
    gate = Gate(hashed, None)
    assert "; secure" in log_in(gate, secure=True)
    assert "; secure" in log_in(gate, headers={"Origin": "https://door"})
    assert "; secure" not in log_in(gate, headers={"Origin": "http://door"})


def test_a_login_of_more_than_4_kb_is_not_read(hashed: str) -> None:
    gate = Gate(hashed, None)
    for size, code in ((4096, 303), (4097, 413)):
        assert ask(gate, "POST", "/login", content=b"x" * size).status_code == code


def test_five_wrong_passwords_have_to_wait(hashed: str) -> None:
    gate = Gate(hashed, None)
    for _ in range(5):
        assert ask(gate, "POST", "/login", content=b"password=no").headers["location"] == "/login?wrong"
    answer = ask(gate, "POST", "/login", content=f"password={PASSWORD}".encode())
    assert (answer.status_code, answer.text) == (429, "too many wrong passwords. Wait a minute")
    assert answer.headers["retry-after"] == "60"


def test_a_minute_after_the_first_of_five_wrong_passwords_one_more_may_be_tried(
    hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(1000.0)
    monkeypatch.setattr("fer_edge.web.auth.time", clock)
    gate = Gate(hashed, None)
    for _ in range(5):
        assert not gate.must_wait()
        gate.check_password("no")
        clock.now += 1
    clock.now = 1059.75
    assert gate.must_wait()
    clock.now = 1060.0
    assert not gate.must_wait()
    gate.check_password("no")
    clock.now = 1060.75
    assert gate.must_wait(), "the second was less than a minute ago"


def test_a_name_that_only_begins_like_one_of_this_machine_is_unknown() -> None:
    gate = Gate(None, None)
    known = ("localhost", "localhost:8080", "127.0.0.1", "[::1]", "door", "door:8080")
    assert {ask(gate, "GET", "/", host=host).status_code for host in known} == {200}
    others = ("localhost.attacker.example", "127.0.0.1.attacker.example", "door.attacker.example", "192.0.2.1")
    assert {ask(gate, "GET", "/", host=host).status_code for host in others} == {421}
