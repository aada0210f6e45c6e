"""The web server as a sink: uvicorn in a thread of its own, beside the loop that reads faces."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_edge.config import WebConfig, reveal
from fer_edge.errors import ConfigError, reason
from fer_edge.model.bundle import Manifest
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult
from fer_edge.web.app import make_app
from fer_edge.web.auth import Gate, is_loopback
from fer_edge.web.picture import PictureEncoder
from fer_edge.web.state import LiveState

_log = logging.getLogger(__name__)

# Connections at a time. For one more, the oldest that sent no request is closed. Each viewer has two.
_MOST_CONNECTIONS = 256
# Seconds within which a connection must have sent its request.
_REQUEST_S = 10.0
# Bytes that wait for a viewer who does not read: one more picture than this, and the stream pauses.
_SEND_BUFFER = 256 * 1024
_ENDING_S = 3.0


class WebSink(Sink):
    """Serves the live page while a run lasts. What goes wrong here never stops recognition."""

    def __init__(self, config: WebConfig, model: Manifest, source: str, *, score: bool = False) -> None:
        """Prepare.

        Args:
            config: where to listen, who may read, what picture is shown.
            model: the bundle's description.
            source: for people: where the frames come from.
            score: whether the picture's labels tell the detector's score.

        Raises:
            ConfigError: another address than this machine's own without a password, or a hash that is none.
        """
        host, port = config.address
        self.description = f"the page on port {port}"
        self._config = config
        self._host, self._port = host, port
        if not is_loopback(host) and config.password is None:
            raise ConfigError(
                f"web.listen {config.listen}: can be reached from other machines, so it needs a password. "
                "Make one with: fer-edge web password"
            )
        self._state = LiveState(model, source)
        self._metrics = Metrics(model)
        self._encoder = None if config.picture == "none" else PictureEncoder(config.picture, config.fps, score=score)
        gate = Gate(reveal(config.password), reveal(config.token))
        secure = config.certificate is not None
        app = make_app(self._state, self._encoder, self._metrics, gate, self._is_known_host, secure=secure)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=_LimitedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=16 * 1024,
                ssl_certfile=config.certificate,
                ssl_keyfile=config.key,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="web server", daemon=True)

    def __enter__(self) -> Self:
        """Listen. Raises ConfigError where the port or the certificate cannot be used."""
        if not is_loopback(self._host) and self._config.certificate is None:
            _log.warning("the page on %s is not encrypted: set web.certificate and web.key", self._config.listen)
        try:
            self._server.config.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"web.certificate: cannot be used ({reason(error)})") from error
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((self._host, self._port))
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"web.listen {self._config.listen}: cannot be used ({reason(error)})") from error
        if self._encoder:
            self._encoder.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        if self._encoder:
            self._encoder.close()
        self._thread.join(_ENDING_S)
        self._socket.close()

    @property
    def port(self) -> int:
        """The port that is listened on; of interest where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def watch(self, outputs: Sequence[Sink]) -> None:
        """Show how these outputs do."""
        self._state.outputs = self._metrics.outputs = tuple(outputs)

    def emit(self, result: FrameResult) -> None:
        """Take one result."""
        self._state.update(result)
        self._metrics.emit(result)
        if self._encoder:
            self._encoder.put(result)

    def waiting(self, what: str) -> None:
        """The camera is lost."""
        self._state.wait(what)
        self._metrics.waiting(what)

    def remark(self, what: str) -> None:
        """The camera's pictures are odd."""
        self._state.remark(what)

    def _is_known_host(self, name: str) -> bool:
        return is_loopback(name) or name == self._host or name in self._config.hosts or name == socket.gethostname()

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        except Exception as error:  # noqa: BLE001 - the page may fail, recognition goes on
            self.trouble = str(error)
            _log.error("%s fails: %s", self.description, error)


class _LimitedProtocol(H11Protocol):
    """HTTP/1.1 with two limits that uvicorn lacks: on connections, and on the time for which one may stay silent."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.opened_at = self.loop.time()
        transport.set_write_buffer_limits(high=_SEND_BUFFER)
        if len(self.connections) > _MOST_CONNECTIONS:
            others = [other for other in self.connections if isinstance(other, _LimitedProtocol) and other.is_silent]
            min(others, key=lambda other: other.opened_at, default=self).transport.abort()
        self.loop.call_later(_REQUEST_S, self._drop_if_silent)

    @property
    def is_silent(self) -> bool:
        """Whether no request has come yet."""
        return self.cycle is None and not self.transport.is_closing()

    def _drop_if_silent(self) -> None:
        if self.is_silent:
            self.transport.abort()
