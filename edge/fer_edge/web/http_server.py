"""The HTTP server: uvicorn in its own thread, with limits for a small device."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_edge.config import WebConfig, reveal
from fer_edge.errors import ConfigError, reason
from fer_edge.web.auth import Gate, is_loopback

_log = logging.getLogger(__name__)

# At most this many connections are open. For one more, the oldest without a request is closed. Each viewer has two.
_MOST_CONNECTIONS = 256
# Connections that are taken before those beyond the limit are closed: each is an open file, of which the whole process
# has 1024 in most systems, and recognition needs some.
_BACKLOG = 64
# A connection must send its request within the first time in seconds, and may stop reading a response for the second.
_REQUEST_S, _STALLED_S = 10.0, 30.0
# The system buffers this many bytes for a viewer who does not read, and allocates twice as many. uvicorn stops sending
# after 64 KiB more and the current image.
_SEND_BUFFER = 64 * 1024
_ENDING_S = 3.0


class HttpServer:
    """Serves an application on the address of the configuration."""

    def __init__(self, config: WebConfig, app: ASGIApp, on_failure: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            config: address, certificate, key.
            app: the application.
            on_failure: called from the server's thread when the server fails.

        Raises:
            ConfigError: other machines can reach the address, and there is no password.
        """
        self._config = config
        self._on_failure = on_failure
        if not _is_local(config) and config.password is None:
            raise ConfigError(
                f"web.listen {config.listen}: can be reached from other machines, so it needs a password. "
                "Make one with: fer-edge web password"
            )
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=_LimitedProtocol,
                ws="none",
                backlog=_BACKLOG,
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

    def start(self) -> None:
        """Listen. Raises ConfigError if the port or the certificate cannot be used."""
        if not _is_local(self._config) and self._config.certificate is None:
            _log.warning("the page on %s is not encrypted: set web.certificate and web.key", self._config.listen)
        self.load()
        self._socket = self._listening_socket()
        self._thread.start()

    def load(self) -> None:
        """Read the certificate. Raises ConfigError if it cannot be used."""
        try:
            self._server.config.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"web.certificate: cannot be used ({reason(error)})") from error

    def close(self) -> None:
        """End the current responses, and close the port."""
        self._server.should_exit = True
        self._thread.join(_ENDING_S)
        self._socket.close()
        if self._config.socket_path:
            self._config.socket_path.unlink(missing_ok=True)

    def _listening_socket(self) -> socket.socket:
        path = self._config.socket_path
        family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in self._config.address[0] else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        try:
            if path:
                _remove_stale(path)
                path.parent.mkdir(parents=True, exist_ok=True)
                listening.bind(str(path))
                path.chmod(0o660)
            else:
                listening.bind(self._config.address)
            listening.listen(_BACKLOG)  # until then another program can take the port
        except (OSError, ValueError) as error:
            listening.close()
            raise ConfigError(f"web.listen {self._config.listen}: cannot be used ({reason(error)})") from error
        return listening

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        except Exception as error:  # noqa: BLE001 - the page may fail, recognition goes on
            self._on_failure(str(error))


def check_server(config: WebConfig) -> None:
    """Check the configuration of a page as far as that is possible without its port.

    Raises:
        ConfigError: the password is missing or malformed, or the certificate cannot be used.
    """
    Gate(reveal(config.password), reveal(config.token))
    HttpServer(config, Starlette(), lambda _why: None).load()


def is_known_host(config: WebConfig) -> Callable[[str], bool]:
    """Return a function that checks host names. On a Unix socket, which no browser can reach, all are allowed."""
    if config.socket_path:
        return lambda _name: True
    own = config.address[0]
    return lambda name: is_loopback(name) or name in {own, socket.gethostname(), *config.hosts}


def _is_local(config: WebConfig) -> bool:
    return config.is_socket or is_loopback(config.address[0])


def _remove_stale(path: Path) -> None:
    """Remove a socket without a listener, which a killed run left."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(FileNotFoundError):
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108 - what is no socket was not reached here


class _LimitedProtocol(H11Protocol):
    """HTTP/1.1 with limits that uvicorn lacks: on connections, and on idle times."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.opened_at = self.loop.time()
        if len(self.connections) > _MOST_CONNECTIONS:
            others = [other for other in self.connections if isinstance(other, _LimitedProtocol) and other.is_silent]
            min(others, key=lambda other: other.opened_at, default=self).transport.abort()
        self.loop.call_later(_REQUEST_S, self._drop_if_silent)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(_STALLED_S, self._reset)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled.cancel()

    def _reset(self) -> None:
        """Close at once: without this the system would go on trying to send what it holds, for many minutes."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def is_silent(self) -> bool:
        """Whether no request has arrived yet."""
        return self.cycle is None and not self.transport.is_closing()

    def _drop_if_silent(self) -> None:
        if self.is_silent:
            self.transport.abort()
