"""The web application of one run: Starlette routes for the page, the live state and the image."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from fer_edge.errors import FerError
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.updates.request import request_update
from fer_edge.web.auth import Gate
from fer_edge.web.files import static_file
from fer_edge.web.guard import Guard, login_routes
from fer_edge.web.picture import BOUNDARY, Picture, PictureEncoder
from fer_edge.web.state import LiveState

_STATIC = ("app.js", "session.js", "style.css", "openapi.json")
# Changes are checked every so many seconds. After the second time the state is sent in any case, so that its figures
# are current and a dead connection is noticed.
_EVENT_POLL, _EVENT_TICK = 0.2, 2.0
# A viewer waits for an image for this many seconds.
_PICTURE_WAIT = 1.0


def make_app(
    state: LiveState,
    encoder: PictureEncoder | None,
    metrics: Metrics,
    gate: Gate,
    is_known_host: Callable[[str], bool],
    *,
    secure: bool,
) -> Starlette:
    """Create the web application.

    Args:
        state: the live state.
        encoder: encodes the image; None if no image may be shown.
        metrics: metrics for Prometheus.
        gate: checks logins.
        is_known_host: whether this host name is allowed.
        secure: whether it is served over TLS.
    """
    answers = _Answers(state, encoder, metrics)
    return Starlette(
        routes=[
            Route("/", answers.page),
            *(Route(f"/{name}", answers.static) for name in _STATIC),
            *login_routes(gate, secure=secure),
            Route("/stream.mjpg", answers.stream),
            Route("/snapshot.jpg", answers.snapshot),
            Route("/api/state", answers.state),
            Route("/api/events", answers.events),
            Route("/api/update", answers.update, methods=["POST"]),
            Route("/healthz", answers.healthz),
            Route("/metrics", answers.metrics),
        ],
        middleware=[Middleware(Guard, gate=gate, is_known_host=is_known_host)],
    )


class _Answers:
    def __init__(self, state: LiveState, encoder: PictureEncoder | None, metrics: Metrics) -> None:
        self._state = state
        self._encoder = encoder
        self._metrics = metrics
        self._new_picture = asyncio.Event()

    async def page(self, _request: Request) -> Response:
        return static_file("index.html")

    async def static(self, request: Request) -> Response:
        return static_file(request.url.path[1:])

    async def snapshot(self, _request: Request) -> Response:
        if self._encoder is None:
            return PlainTextResponse("images are switched off: web.picture", 404)
        before = self._encoder.latest()
        picture = await self._next_picture(self._encoder, before.number)
        if not picture:
            return PlainTextResponse("there is no image at the moment", 503, {"Retry-After": "2"})
        return Response(picture.jpeg, media_type="image/jpeg")

    async def stream(self, _request: Request) -> Response:
        if self._encoder is None:
            return PlainTextResponse("images are switched off: web.picture", 404)
        return StreamingResponse(
            self._parts(self._encoder), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        )

    async def _parts(self, encoder: PictureEncoder) -> AsyncIterator[bytes]:
        number = 0
        while True:
            picture = await self._next_picture(encoder, number)
            if picture:
                number = picture.number
                yield picture.part

    async def _next_picture(self, encoder: PictureEncoder, after: int) -> Picture | None:
        """Wait for an image with another number than `after`; None if none comes."""
        loop = asyncio.get_running_loop()
        encoder.on_picture = lambda: loop.call_soon_threadsafe(self._announce_picture)
        announced = self._new_picture
        picture = encoder.latest()
        if picture.number == after or not picture.jpeg:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PICTURE_WAIT):
                    await announced.wait()
            picture = encoder.latest()
        return picture if picture.jpeg and picture.number != after else None

    def _announce_picture(self) -> None:
        waiting, self._new_picture = self._new_picture, asyncio.Event()
        waiting.set()

    async def state(self, _request: Request) -> Response:
        return Response(self._state.as_json(), media_type="application/json")

    async def events(self, _request: Request) -> Response:
        return StreamingResponse(self._changes(), media_type="text/event-stream")

    async def _changes(self) -> AsyncIterator[bytes]:
        version, waited = -1, 0.0
        while True:
            if self._state.version != version:
                version, waited = self._state.version, 0.0
                yield b"data: " + self._state.as_json() + b"\n\n"
            elif waited >= _EVENT_TICK:
                waited = 0.0
                yield b"event: tick\ndata: " + self._state.as_json() + b"\n\n"
            await asyncio.sleep(_EVENT_POLL)
            waited += _EVENT_POLL

    async def update(self, _request: Request) -> Response:
        if not self._state.starts_updates:
            return PlainTextResponse("the page starts no updates: updates.allow_start", 403)
        try:
            await run_in_threadpool(request_update)
        except FerError as error:
            return PlainTextResponse(str(error), 503)
        return PlainTextResponse("asked for", 202)

    async def healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok") if self._state.is_well() else PlainTextResponse("no frames", 503)

    async def metrics(self, _request: Request) -> Response:
        return Response(await run_in_threadpool(self._metrics.text), media_type=self._metrics.content_type)
