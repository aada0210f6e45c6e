"""Check every request (host name, origin, login), and add security headers to every response."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_edge.web.auth import SESSION_S, Gate, is_loopback
from fer_edge.web.files import static_file

_COOKIE = "fer_edge_session"
_MAX_BODY = 4096
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# These paths need no login; /healthz and /metrics need none from this machine.
_OPEN = {"/login", "/style.css"}
_LOCAL = {"/healthz", "/metrics"}


class Guard:
    """Refuses unknown hosts and origins (DNS rebinding, cross-site requests), and requests without a login."""

    def __init__(self, app: ASGIApp, gate: Gate, is_known_host: Callable[[str], bool]) -> None:
        self._app = app
        self._gate = gate
        self._is_known_host = is_known_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_encoded(_HEADERS.items())]
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._is_known_host(_without_port(host)):
            return PlainTextResponse("this host name is not known. Add it to web.hosts in the configuration", 421)
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("requests from other sites are refused", 403)
        path = request.url.path
        if path in _LOCAL and request.client and is_loopback(request.client.host):
            return None
        if path in _OPEN or self._gate.lets_in(request.cookies.get(_COOKIE), request.headers.get("authorization")):
            return None
        if path == "/":
            return RedirectResponse("/login", 303)
        return PlainTextResponse("log in first, or send a token", 401, {"WWW-Authenticate": "Bearer"})


async def read_body(request: Request, most: int) -> bytes | None:
    """Read a request's body; None as soon as it has more than `most` bytes."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return body


def login_routes(gate: Gate, *, secure: bool) -> list[Route]:
    """The pages for logging in and out; `secure` says whether they are served over TLS."""
    login = _Login(gate, secure=secure)
    return [
        Route("/login", login.page, methods=["GET"]),
        Route("/login", login.log_in, methods=["POST"]),
        Route("/logout", login.log_out, methods=["POST"]),
        Route("/api/session", login.session),
    ]


class _Login:
    def __init__(self, gate: Gate, *, secure: bool) -> None:
        self._gate = gate
        self._secure = secure

    async def page(self, _request: Request) -> Response:
        return static_file("login.html")

    async def log_in(self, request: Request) -> Response:
        if self._gate.must_wait():
            return PlainTextResponse("too many wrong passwords. Wait a minute", 429, {"Retry-After": "60"})
        body = await read_body(request, _MAX_BODY)
        if body is None:
            return PlainTextResponse("too large", 413)
        password = parse_qs(body.decode(errors="replace")).get("password", [""])[0]
        if not await run_in_threadpool(self._gate.check_password, password):
            return RedirectResponse("/login?wrong", 303)
        answer = RedirectResponse("/", 303)
        # Behind a TLS proxy, only the browser's Origin header shows that TLS is used.
        secure = self._secure or request.headers.get("origin", "").startswith("https://")
        session = self._gate.new_session()
        answer.set_cookie(_COOKIE, session, SESSION_S, httponly=True, samesite="strict", secure=secure)
        return answer

    async def session(self, _request: Request) -> Response:
        return JSONResponse({"login": self._gate.needs_login})

    async def log_out(self, _request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(_COOKIE)
        return answer


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.rpartition(":")[0] if ":" in host else host
