"""The pages and answers: Starlette routes over the live state and the picture."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fer_edge.monitoring.prometheus import Metrics
from fer_edge.web.auth import SESSION_S, Gate, is_loopback
from fer_edge.web.picture import PictureEncoder
from fer_edge.web.state import LiveState

_COOKIE = "fer_edge_session"
_BOUNDARY = "frame"
_STATIC = {"app.js": "text/javascript", "style.css": "text/css"}
# Seconds between two looks for a change, and after which a line is sent anyway, so that a dead link is noticed.
_EVENT_POLL, _EVENT_KEEPALIVE = 0.2, 10.0
# Seconds for which a viewer waits for a picture.
_PICTURE_WAIT = 1.0
_MAX_BODY = 4096
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# What may be read without a login; /healthz and /metrics from this machine alone.
_OPEN = {"/login", "/style.css"}
_LOCAL = {"/healthz", "/metrics"}


def make_app(
    state: LiveState,
    encoder: PictureEncoder | None,
    metrics: Metrics,
    gate: Gate,
    is_known_host: Callable[[str], bool],
    *,
    secure: bool,
) -> Starlette:
    """Make the web application.

    Args:
        state: what is shown.
        encoder: gives the picture; None where no picture may be shown.
        metrics: for Prometheus.
        gate: who may read.
        is_known_host: whether the page may be asked for by this host name.
        secure: whether it is served over TLS.
    """
    answers = _Answers(state, encoder, metrics, gate, secure=secure)
    return Starlette(
        routes=[
            Route("/", answers.page),
            Route("/login", answers.login_page, methods=["GET"]),
            Route("/login", answers.login, methods=["POST"]),
            Route("/logout", answers.logout, methods=["POST"]),
            Route("/app.js", answers.static),
            Route("/style.css", answers.static),
            Route("/openapi.json", answers.openapi),
            Route("/stream.mjpg", answers.stream),
            Route("/snapshot.jpg", answers.snapshot),
            Route("/api/state", answers.state),
            Route("/api/events", answers.events),
            Route("/healthz", answers.healthz),
            Route("/metrics", answers.metrics),
        ],
        middleware=[Middleware(_Guard, gate=gate, is_known_host=is_known_host)],
    )


class _Guard:
    """Refuses foreign hosts and origins (DNS rebinding, cross-site requests), and whoever has not logged in."""

    def __init__(self, app: ASGIApp, gate: Gate, is_known_host: Callable[[str], bool]) -> None:
        self._app = app
        self._gate = gate
        self._is_known_host = is_known_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:  # noqa: ANN401 - as ASGI has them
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in _HEADERS.items()),
                ]
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


class _Answers:
    def __init__(
        self, state: LiveState, encoder: PictureEncoder | None, metrics: Metrics, gate: Gate, *, secure: bool
    ) -> None:
        self._state = state
        self._encoder = encoder
        self._metrics = metrics
        self._gate = gate
        self._secure = secure
        self._new_picture = asyncio.Event()

    async def page(self, _request: Request) -> Response:
        return Response(_file("index.html"), media_type="text/html")

    async def login_page(self, _request: Request) -> Response:
        return Response(_file("login.html"), media_type="text/html")

    async def login(self, request: Request) -> Response:
        if self._gate.must_wait():
            return PlainTextResponse("too many wrong passwords. Wait a minute", 429, {"Retry-After": "60"})
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                return PlainTextResponse("too large", 413)
        password = parse_qs(body.decode(errors="replace")).get("password", [""])[0]
        if not await run_in_threadpool(self._gate.check_password, password):
            return RedirectResponse("/login?wrong", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _COOKIE, self._gate.new_session(), SESSION_S, httponly=True, samesite="strict", secure=self._secure
        )
        return answer

    async def logout(self, _request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(_COOKIE)
        return answer

    async def static(self, request: Request) -> Response:
        name = request.url.path[1:]
        return Response(_file(name), media_type=_STATIC[name])

    async def openapi(self, _request: Request) -> Response:
        return Response(_file("openapi.json"), media_type="application/json")

    async def snapshot(self, _request: Request) -> Response:
        if self._encoder is None:
            return PlainTextResponse("pictures are switched off: web.picture", 404)
        before, _ = self._encoder.latest()
        _, jpeg = await self._next_picture(self._encoder, before)
        if not jpeg:
            return PlainTextResponse("there is no picture at the moment", 503, {"Retry-After": "2"})
        return Response(jpeg, media_type="image/jpeg")

    async def stream(self, _request: Request) -> Response:
        if self._encoder is None:
            return PlainTextResponse("pictures are switched off: web.picture", 404)
        return StreamingResponse(
            self._parts(self._encoder), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        )

    async def _parts(self, encoder: PictureEncoder) -> AsyncIterator[bytes]:
        number = 0
        while True:
            number, jpeg = await self._next_picture(encoder, number)
            if jpeg:
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                yield head.encode() + jpeg + b"\r\n"

    async def _next_picture(self, encoder: PictureEncoder, after: int) -> tuple[int, bytes]:
        """Wait for a picture with another number than `after`; `after` and no bytes if none comes."""
        loop = asyncio.get_running_loop()
        encoder.on_picture = lambda: loop.call_soon_threadsafe(self._announce_picture)
        picture = self._new_picture
        number, jpeg = encoder.latest()
        if number == after or not jpeg:
            with suppress(TimeoutError):
                await asyncio.wait_for(picture.wait(), _PICTURE_WAIT)
            number, jpeg = encoder.latest()
        return (number, jpeg) if number != after else (after, b"")

    def _announce_picture(self) -> None:
        waiting, self._new_picture = self._new_picture, asyncio.Event()
        waiting.set()

    async def state(self, _request: Request) -> Response:
        return JSONResponse(self._state.as_dict())

    async def events(self, _request: Request) -> Response:
        return StreamingResponse(self._changes(), media_type="text/event-stream")

    async def _changes(self) -> AsyncIterator[str]:
        version, waited = -1, 0.0
        while True:
            if self._state.version != version:
                version, waited = self._state.version, 0.0
                yield f"data: {json.dumps(self._state.as_dict())}\n\n"
            elif waited >= _EVENT_KEEPALIVE:
                waited = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(_EVENT_POLL)
            waited += _EVENT_POLL

    async def healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok") if self._state.is_well() else PlainTextResponse("no frames", 503)

    async def metrics(self, _request: Request) -> Response:
        return Response(await run_in_threadpool(self._metrics.text), media_type=self._metrics.content_type)


def _file(name: str) -> bytes:
    return files("fer_edge.web").joinpath("static", name).read_bytes()


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.rpartition(":")[0] if ":" in host else host
