"""The live page of a run, as a sink."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Self

from fer_edge.config import WebConfig, reveal
from fer_edge.errors import ConfigError
from fer_edge.model.manifest import Manifest
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult
from fer_edge.web.app import make_app
from fer_edge.web.auth import Gate
from fer_edge.web.http_server import HttpServer, is_known_host
from fer_edge.web.picture import PictureEncoder
from fer_edge.web.state import LiveState

_log = logging.getLogger(__name__)


class WebSink(Sink):
    """Serves the live page during a run. A failure of the page never stops recognition."""

    def __init__(
        self,
        config: WebConfig,
        model: Manifest,
        source: str,
        metrics: Metrics,
        *,
        score: bool = False,
        starts_updates: bool = False,
    ) -> None:
        """Prepare.

        Args:
            config: address, password and kind of image.
            model: the bundle's manifest.
            source: description of the source for people.
            metrics: what the page serves at /metrics; a sink of the run, which counts its frames.
            score: whether labels show the detector's score.
            starts_updates: whether viewers may start an update of the model.

        Raises:
            ConfigError: other machines can reach the address and there is no password, or the hash is malformed.
        """
        self.description = f"the page on {config.socket_path or f'port {config.address[1]}'}"
        self._config = config
        self._state = LiveState(model, source, starts_updates=starts_updates)
        self._encoder = None if config.picture == "none" else PictureEncoder(config.picture, config.fps, score=score)
        gate = Gate(reveal(config.password), reveal(config.token))
        app = make_app(
            self._state,
            self._encoder,
            metrics,
            gate,
            is_known_host(config),
            secure=config.certificate is not None,
        )
        self._server = HttpServer(config, app, self._fail)
        self._serves = False

    def __enter__(self) -> Self:
        """Listen. Raises ConfigError if the port or the certificate cannot be used, and `required` is set."""
        try:
            self._server.start()
        except ConfigError as error:
            if self._config.required:
                raise
            self._fail(str(error))
            return self
        self._serves = True
        if self._encoder:
            self._encoder.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._serves:
            return
        if self._encoder:
            self._encoder.close()
        self._server.close()

    def watch(self, outputs: Sequence[Sink]) -> None:
        """Show the state of these outputs."""
        self._state.watch(outputs)

    def emit(self, result: FrameResult) -> None:
        """Take one result."""
        self._state.update(result)
        if self._encoder:
            self._encoder.put(result)

    def waiting(self, what: str) -> None:
        """The camera is lost."""
        self._state.wait(what)

    def remark(self, what: str) -> None:
        """Something is wrong with the frames."""
        self._state.remark(what)

    def _fail(self, why: str) -> None:
        self.trouble = why
        _log.error("%s fails: %s. Recognition continues without it", self.description, why)
