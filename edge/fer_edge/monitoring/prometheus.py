"""Provides metrics for Prometheus with prometheus-client, over HTTP or in a text file for node_exporter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from fer_edge import __version__
from fer_edge.device.thermal import read_heat
from fer_edge.errors import MissingExtra
from fer_edge.model.bundle import Manifest
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult

# These limits of the histogram, in seconds per stage of a frame, reach from a fast PC to a slow board.
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# One frame counts for at most so many seconds.
_LONGEST_FRAME_S = 1.0
# The text file is written, and the temperature read, at intervals of so many seconds.
_INTERVAL = 10.0


class Metrics(Sink):
    """A sink that counts for Prometheus. Each has its own registry, so that one process can have several."""

    description = "the metrics"

    def __init__(self, model: Manifest, textfile: Path | None = None) -> None:
        """Create the metrics.

        Args:
            model: the description of the model; each of its labels has a series from the start.
            textfile: a file for node_exporter's textfile collector, written every ten seconds.

        Raises:
            MissingExtra: prometheus-client is not installed.
        """
        try:
            import prometheus_client  # noqa: PLC0415 - only where metrics are wanted
        except ImportError as error:
            raise MissingExtra("prometheus-client, for metrics,", "web") from error
        self._client = prometheus_client
        self.registry = registry = prometheus_client.CollectorRegistry()
        self.outputs: Sequence[Sink] = ()
        self._textfile = textfile
        info = prometheus_client.Info("fer_edge_build", "Versions of program and model.", registry=registry)
        info.info({"version": __version__, "model": model.name, "model_version": model.version})
        self._seconds = prometheus_client.Histogram(
            "fer_edge_frame_seconds", "Time per stage of a frame.", ["stage"], buckets=_BUCKETS, registry=registry
        )
        self._frames = prometheus_client.Counter(
            "fer_edge_frames", "Frames by result: processed or dropped.", ["result"], registry=registry
        )
        self._faces = prometheus_client.Gauge("fer_edge_faces", "Faces in view.", registry=registry)
        self._face_seconds = prometheus_client.Counter(
            "fer_edge_face_seconds", "Seconds for which each label was shown.", ["label"], registry=registry
        )
        for label in (*model.labels, "uncertain"):
            self._face_seconds.labels(label)
        self._source_up = prometheus_client.Gauge(
            "fer_edge_source_up", "1 while the source delivers frames.", registry=registry
        )
        self._sink_up = prometheus_client.Gauge(
            "fer_edge_sink_up", "1 while the output works.", ["sink"], registry=registry
        )
        self._celsius = prometheus_client.Gauge(
            "fer_edge_temperature_celsius", "The board's temperature; missing if unknown.", registry=registry
        )
        self._last: tuple[int, float] | None = None
        self._refreshed_at = -_INTERVAL

    def watch(self, outputs: Sequence[Sink]) -> None:
        """Report whether these outputs work."""
        self.outputs = outputs

    def emit(self, result: FrameResult) -> None:
        """Count one frame. Raises OSError if the text file cannot be written."""
        frame = result.frame
        for stage, spent in result.timings_ms.items():
            self._seconds.labels(stage).observe(spent / 1000)
        elapsed = 0.0
        if self._last is not None:
            elapsed = min(max(frame.captured_at - self._last[1], 0.0), _LONGEST_FRAME_S)
            if frame.live:
                self._frames.labels("dropped").inc(max(frame.index - self._last[0] - 1, 0))
        self._last = (frame.index, frame.captured_at)
        self._frames.labels("processed").inc()
        self._faces.set(len(result.visible_faces))
        for face in result.visible_faces:
            self._face_seconds.labels(face.label).inc(elapsed)
        self._source_up.set(1)
        self._refresh()

    def waiting(self, _what: str) -> None:
        """Count that the camera is lost and nobody is in view."""
        self._source_up.set(0)
        self._faces.set(0)
        self._refresh()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self._update_slow()
        return bytes(self._client.generate_latest(self.registry))

    @property
    def content_type(self) -> str:
        """The media type of `text`."""
        return str(self._client.CONTENT_TYPE_LATEST)

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._textfile is None or now - self._refreshed_at < _INTERVAL:
            return
        self._refreshed_at = now
        self._update_slow()
        self._client.write_to_textfile(str(self._textfile), self.registry)

    def _update_slow(self) -> None:
        for sink in self.outputs:
            self._sink_up.labels(sink.description).set(0 if sink.trouble else 1)
        celsius = read_heat().celsius
        if celsius is not None:
            self._celsius.set(celsius)
