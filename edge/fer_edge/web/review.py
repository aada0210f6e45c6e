"""A page, only on this machine, on which the owner of a device labels its samples.

The model's own label is not shown, since it would influence the answer.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from fer_edge.errors import ConfigError, reason
from fer_edge.labels import FERPLUS8
from fer_edge.monitoring.measured_accuracy import measure
from fer_edge.monitoring.sample import NO_FACE, SKIPPED, Sample
from fer_edge.monitoring.samples import SampleFolder
from fer_edge.web.auth import is_loopback
from fer_edge.web.files import static_file
from fer_edge.web.guard import read_body

_COOKIE = "fer_edge_review"
_STATIC = ("/", "/review.js", "/review.css")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MAX_BODY = 1024


def serve_review(folder: SampleFolder, port: int, tell: Callable[[str], object]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        folder: folder of the samples.
        port: port on 127.0.0.1; 0 for a free one.
        tell: gets the address to open. It holds a token, so that other users of the machine cannot see the samples.

    Raises:
        ConfigError: there is nothing to label, or the port is in use.
    """
    if not folder.samples():
        raise ConfigError(f"{folder.folder}: there are no samples yet")
    token = secrets.token_urlsafe(16)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError as error:
            raise ConfigError(f"--port {port}: cannot be used ({reason(error)}). Choose another, or 0") from error
        server = _Server(
            uvicorn.Config(
                make_review_app(folder, token),
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            ),
            lambda: tell(f"Open http://127.0.0.1:{listener.getsockname()[1]}/?token={token} and end with Ctrl-C"),
        )
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says when it handles requests, and Ctrl-C: before that, Ctrl-C would end it with a warning."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()


def make_review_app(folder: SampleFolder, token: str) -> Starlette:
    """Create the web application.

    Args:
        folder: folder of the samples.
        token: a request with it in the address gets a cookie.
    """
    answers = _Answers(folder)
    guard = _Guard(token)
    routes = [
        Route("/api/queue", guard.protect(answers.queue)),
        Route("/api/label", guard.protect(answers.label), methods=["POST"]),
        Route("/api/result", guard.protect(answers.result)),
        Route("/picture/{name}.png", guard.protect(answers.picture)),
        *(Route(path, guard.protect(answers.static)) for path in _STATIC),
    ]
    return Starlette(routes=routes)


class _Guard:
    """Allows requests with the token, only for this machine's names (DNS rebinding), and not from other sites."""

    def __init__(self, token: str) -> None:
        self._token = token

    def protect(self, answer: Callable[[Request], object]) -> Callable[[Request], object]:
        async def guarded(request: Request) -> Response:
            response = self._refusal(request) or await answer(request)  # type: ignore[misc]
            for name, value in _HEADERS.items():
                response.headers[name] = value
            return response

        return guarded

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not is_loopback(host.rpartition(":")[0] or host):
            return PlainTextResponse("the page answers only on 127.0.0.1 and localhost", 421)
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("requests from other sites are refused", 403)
        if self._is_token(request.query_params.get("token")):
            response = RedirectResponse("/", 303)
            response.set_cookie(_COOKIE, self._token, httponly=True, samesite="strict")
            return response
        if not self._is_token(request.cookies.get(_COOKIE)):
            return PlainTextResponse("open the address that fer-edge samples review printed", 401)
        return None

    def _is_token(self, value: str | None) -> bool:
        return hmac.compare_digest((value or "").encode(), self._token.encode())


class _Answers:
    def __init__(self, folder: SampleFolder) -> None:
        self._folder = folder

    async def static(self, request: Request) -> Response:
        return static_file(request.url.path[1:] or "review.html")

    async def queue(self, _request: Request) -> Response:
        """The samples without a label, in a random order that stays the same."""
        samples, labels = await run_in_threadpool(lambda: (self._folder.samples(), self._folder.labels()))
        waiting = [sample.id for sample in samples if sample.id not in labels]
        return JSONResponse(
            {
                "labels": list(FERPLUS8),
                "others": [SKIPPED, NO_FACE],
                "waiting": sorted(waiting, key=lambda identity: hashlib.sha256(identity.encode()).digest()),
                "labelled": len(samples) - len(waiting),
            }
        )

    async def label(self, request: Request) -> Response:
        """Save an answer; null removes it."""
        body = await read_body(request, _MAX_BODY)
        if body is None:
            return PlainTextResponse("too large", 413)
        try:
            wanted = json.loads(body)
            sample = await run_in_threadpool(self._find, str(wanted["sample"]))
            await run_in_threadpool(self._folder.set_label, sample, wanted["label"])
        except (ValueError, KeyError, TypeError) as error:
            return PlainTextResponse(f"expected a sample and a label: {error}", 400)
        except ConfigError as error:
            return PlainTextResponse(str(error), 404)
        except OSError as error:
            return PlainTextResponse(f"not saved: {reason(error)}", 507)
        return JSONResponse({"saved": sample.id})

    async def picture(self, request: Request) -> Response:
        try:
            path = self._folder.picture_path(request.path_params["name"])
            content = await run_in_threadpool(path.read_bytes)
        except (ConfigError, OSError):
            return PlainTextResponse("there is no such sample", 404)
        return Response(content, media_type="image/png")

    async def result(self, _request: Request) -> Response:
        """The accuracy by the labels so far."""
        folder = self._folder
        measured = await run_in_threadpool(lambda: measure(folder.labels().values(), folder.seen()))
        return JSONResponse(measured.as_dict() if measured else None)

    def _find(self, identity: str) -> Sample:
        self._folder.picture_path(identity)
        for sample in self._folder.samples():
            if sample.id == identity:
                return sample
        raise ConfigError(f"{identity}: has been deleted")
