"""Provides metrics for Prometheus with prometheus-client, over HTTP or in a text file for node_exporter."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from fer_edge import __version__
from fer_edge.device.thermal import read_heat
from fer_edge.errors import MissingExtra
from fer_edge.labels import UNCERTAIN
from fer_edge.model.manifest import Manifest
from fer_edge.monitoring.drift import State
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

# These limits of the histogram, in seconds per stage of a frame, reach from a fast PC to a slow board.
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_BUCKET_NAMES = (*map(str, _BUCKETS), "+Inf")
# One frame counts for at most so many seconds.
_LONGEST_FRAME_S = 1.0
# The text file is written at intervals of so many seconds.
_INTERVAL = 10.0


class Metrics(Sink):
    """A sink that counts for Prometheus. Each has its own registry, so that one process can have several.

    Frames are counted in plain numbers, and turned into metrics when these are asked for: prometheus-client's own
    counters take locks, several per frame.
    """

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
        self.registry = prometheus_client.CollectorRegistry()
        self.outputs: Sequence[Sink] = ()
        self._textfile = textfile
        self._build = {"version": __version__, "model": model.name, "model_version": model.version}
        self._stages: dict[str, _Histogram] = defaultdict(_Histogram)
        self._processed = self._dropped = self._faces = 0
        self._face_seconds = dict.fromkeys((*model.labels, UNCERTAIN), 0.0)
        self._source_up = False
        self._last: tuple[int, float] | None = None
        self._written_at = float("-inf")
        self._failure: OSError | None = None
        self.registry.register(self)
        # Memory, processor time, start time. With a prefix, since node_exporter has its own beside the text file's.
        prometheus_client.ProcessCollector(namespace="fer_edge", registry=self.registry)

    def __exit__(self, *_: object) -> None:
        """Write to the text file that no face is in view any more."""
        self._source_up, self._faces = False, 0
        self._written_at = float("-inf")
        with suppress(OSError):  # said while it ran
            self._write()

    def watch(self, outputs: Sequence[Sink]) -> None:
        """Report whether these outputs work."""
        self.outputs = outputs

    def emit(self, result: FrameResult) -> None:
        """Count one frame. Raises OSError if the text file cannot be written."""
        frame = result.frame
        for stage, spent in result.timings_ms.items():
            self._stages[stage].observe(spent / 1000)
        elapsed = 0.0
        if self._last is not None:
            elapsed = min(max(frame.captured_at - self._last[1], 0.0), _LONGEST_FRAME_S)
            if frame.live:
                self._dropped += max(frame.index - self._last[0] - 1, 0)
        self._last = (frame.index, frame.captured_at)
        self._processed += 1
        faces = result.visible_faces
        self._faces = len(faces)
        for face in faces:
            self._face_seconds[face.label] += elapsed
        self._source_up = True
        self._write()

    def waiting(self, _what: str) -> None:
        """Count that the camera is lost and nobody is in view."""
        self._source_up, self._faces = False, 0
        self._write()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return bytes(self._client.generate_latest(self.registry))

    @property
    def content_type(self) -> str:
        """The media type of `text`."""
        return str(self._client.CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        """Return the current metrics in prometheus-client's form."""
        from prometheus_client import metrics_core as core  # noqa: PLC0415 - only where metrics are wanted

        yield core.InfoMetricFamily("fer_edge_build", "Versions of program and model.", self._build)
        seconds = core.HistogramMetricFamily("fer_edge_frame_seconds", "Time per stage of a frame.", labels=["stage"])
        for stage, histogram in tuple(self._stages.items()):
            seconds.add_metric([stage], histogram.buckets(), histogram.sum)
        yield seconds
        frames = core.CounterMetricFamily("fer_edge_frames", "Frames processed or dropped.", labels=["result"])
        frames.add_metric(["processed"], self._processed)
        frames.add_metric(["dropped"], self._dropped)
        yield frames
        yield core.GaugeMetricFamily("fer_edge_faces", "Faces in view.", self._faces)
        shown = core.CounterMetricFamily("fer_edge_face_seconds", "Seconds each label was shown.", labels=["label"])
        for label, value in self._face_seconds.items():
            shown.add_metric([label], value)
        yield shown
        yield core.GaugeMetricFamily("fer_edge_source_up", "1 while the source delivers frames.", int(self._source_up))
        yield from self._collect_outputs()
        celsius = read_heat().celsius
        if celsius is not None:
            yield core.GaugeMetricFamily("fer_edge_temperature_celsius", "The board's temperature.", celsius)

    def _collect_outputs(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415

        up = GaugeMetricFamily("fer_edge_sink_up", "1 while the output works.", labels=["sink"])
        for sink in self.outputs:
            up.add_metric([sink.description], 0 if sink.trouble else 1)
        yield up
        for recorder in (sink for sink in self.outputs if isinstance(sink, UsageRecorder)):
            drift = GaugeMetricFamily("fer_edge_drift", "1 for the state that the drift is in.", labels=["state"])
            for state in get_args(State):
                drift.add_metric([state], int(recorder.drift.state == state))
            yield drift
            if expected := recorder.expected_accuracy:
                name, about = "fer_edge_expected_accuracy", "Share of labels that should be right"
                yield GaugeMetricFamily(f"{name}_ratio", f"{about}, 0 to 1.", expected.accuracy)
                yield GaugeMetricFamily(f"{name}_trusted", "1 while that is to be trusted.", int(expected.trusted))

    def _write(self) -> None:
        """Write the text file if it is time. Raises OSError if that failed, also until it is tried again."""
        if self._textfile is None:
            return
        if time.monotonic() - self._written_at >= _INTERVAL:
            self._written_at, self._failure = time.monotonic(), None
            try:
                self._client.write_to_textfile(str(self._textfile), self.registry)
            except OSError as error:
                self._failure = error
        if self._failure:
            raise self._failure.with_traceback(None)


class _Histogram:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self.sum = 0.0
        self._counts = [0] * len(_BUCKET_NAMES)

    def observe(self, seconds: float) -> None:
        """Add one value."""
        self.sum += seconds
        self._counts[bisect_left(_BUCKETS, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Return the upper bounds, each with the number of values up to it."""
        return list(zip(_BUCKET_NAMES, map(float, accumulate(self._counts)), strict=True))
