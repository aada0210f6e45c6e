"""One page for all runs of this machine. It forwards requests to their Unix sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from fer_edge.config import WebConfig, reveal
from fer_edge.errors import FerError
from fer_edge.terminal import tell
from fer_edge.web.auth import Gate
from fer_edge.web.files import static_file
from fer_edge.web.guard import Guard, login_routes
from fer_edge.web.http_server import HttpServer, is_known_host
from fer_edge.web.instances import ask, find_instances, read_state

_STATIC = ("overview.js", "session.js", "style.css")
# These paths of an instance are forwarded.
_PAGE = ("", "app.js", "session.js", "style.css")
_PASSED_ON = {*_PAGE, "stream.mjpg", "snapshot.jpg", "api/state", "api/events", "openapi.json"}


def make_overview(folder: Path, gate: Gate, is_known_host: Callable[[str], bool], *, secure: bool) -> Starlette:
    """Create the web application.

    Args:
        folder: folder with the runs' runtime folders.
        gate: checks logins.
        is_known_host: whether this host name is allowed.
        secure: whether it is served over TLS.
    """
    answers = _Answers(folder)
    return Starlette(
        routes=[
            Route("/", answers.page),
            *(Route(f"/{name}", answers.static) for name in _STATIC),
            *login_routes(gate, secure=secure),
            Route("/healthz", answers.healthz),
            Route("/api/instances", answers.instances),
            Route("/instances/{name}", answers.with_slash),
            Route("/instances/{name}/{path:path}", answers.pass_on),
        ],
        middleware=[Middleware(Guard, gate=gate, is_known_host=is_known_host)],
    )


def serve_overview(config: WebConfig, folder: Path, on_stop: Callable[[Callable[[], None]], None]) -> None:
    """Serve the page until the user ends it.

    Args:
        config: address, password, TLS.
        folder: folder with the runs' runtime folders.
        on_stop: gets the function that ends the server.

    Raises:
        ConfigError: the address cannot be used, or needs a password.
    """
    gate = Gate(reveal(config.password), reveal(config.token))
    app = make_overview(folder, gate, is_known_host(config), secure=config.certificate is not None)
    over = threading.Event()
    failures: list[str] = []

    def fail(why: str) -> None:
        failures.append(why)
        over.set()

    server = HttpServer(config, app, fail)
    server.start()
    on_stop(over.set)
    tell(f"all cameras on one page: {config.url}")
    over.wait()
    server.close()
    for why in failures:
        raise FerError(f"the page on {config.listen}: {why}")


class _Answers:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def page(self, _request: Request) -> Response:
        return static_file("overview.html")

    async def static(self, request: Request) -> Response:
        return static_file(request.url.path[1:])

    async def healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok")

    async def instances(self, _request: Request) -> Response:
        found = find_instances(self._folder)
        states = await asyncio.gather(*map(read_state, found.values()))
        known = [
            {"name": name, "state": json.loads(state) if state else None}
            for name, state in zip(found, states, strict=True)
        ]
        return JSONResponse({"instances": known})

    async def with_slash(self, request: Request) -> Response:
        return RedirectResponse(f"/instances/{request.path_params['name']}/", 308)

    async def pass_on(self, request: Request) -> Response:
        name, path = request.path_params["name"], request.path_params["path"]
        socket = find_instances(self._folder).get(name)
        if socket is None or path not in _PASSED_ON:
            return PlainTextResponse("there is no such camera, or no such page", 404)
        try:
            answer = await ask(socket, f"/{path}")
        except OSError:
            return PlainTextResponse(f"{name} does not answer", 503, {"Retry-After": "2"})
        return StreamingResponse(answer.body(), answer.status, media_type=answer.content_type)
