"""The loop: frames in, results out.

for frame in source:
    tracks = tracker.update(detector, frame)
    predictions = classifier.classify(frame, tracks)
    faces = smoother.update(tracks, predictions, frame.captured_at)
    for sink in sinks:
        sink.emit(FrameResult(frame, faces, timings))
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fer_edge.bundle import find_bundle, load_bundle
from fer_edge.classifier import Classifier
from fer_edge.config import RunConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.errors import reason
from fer_edge.sinks import Sink, StopRun
from fer_edge.smoothing import Smoother
from fer_edge.sources import Source
from fer_edge.tracker import Tracker
from fer_edge.types import Frame, FrameResult

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Summary:
    """What a run did, up to now."""

    frames: int = 0
    seconds: float = 0.0
    faces: int = 0
    """Different faces: ids count from 1."""
    lost: dict[str, int] = field(default_factory=dict)
    """Frames that a sink could not take, by the sink's description."""

    @property
    def fps(self) -> float:
        """Frames a second, over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0


class Pipeline:
    """The stages between a source and the sinks."""

    def __init__(self, config: RunConfig) -> None:
        """Open detector and model.

        Raises:
            ModelError: the model cannot be used.
            MissingDependency: a part is not installed.
        """
        self._detector: Detector = open_detector(config.detector)
        self._classifier = Classifier(
            load_bundle(find_bundle(config.model)), self._detector.framing, threads=config.threads
        )
        self._tracker = Tracker(config.tracker)
        self._smoother = Smoother(config.smoothing, self._classifier.labels)

    def process(self, frame: Frame) -> FrameResult:
        """Find, follow, read and steady the faces of one frame."""
        timer = _StageTimer()
        tracks = self._tracker.update(self._detector, frame)
        timer.lap("detect")
        predictions = self._classifier.classify(frame, tracks)
        timer.lap("classify")
        faces = self._smoother.update(tracks, predictions, frame.captured_at)
        timer.lap("smooth")
        return FrameResult(frame, faces, timer.laps)

    def run(self, source: Source, sinks: Sequence[Sink], summary: Summary, max_frames: int | None = None) -> None:
        """Process frames until the source ends, a sink has had enough, or `max_frames` are done.

        Args:
            source: an open one.
            sinks: open ones.
            summary: is kept up to date.
            max_frames: the end, if given.

        Raises:
            SourceError: the source broke off.
        """
        guarded = [_Guarded(sink, summary) for sink in sinks]
        start = time.monotonic()
        with suppress(StopRun):
            for frame in source:
                result = self.process(frame)
                summary.frames += 1
                summary.seconds = time.monotonic() - start
                summary.faces = max([summary.faces, *(face.track.id for face in result.faces)])
                for sink in guarded:
                    sink.emit(result)
                if summary.frames == max_frames:
                    break


class _Guarded:
    """A sink whose failure is logged once, counted, and does not stop the loop."""

    def __init__(self, sink: Sink, summary: Summary) -> None:
        self._sink = sink
        self._summary = summary
        self._failing = False

    def emit(self, result: FrameResult) -> None:
        try:
            self._sink.emit(result)
        except OSError as error:
            if not self._failing:
                _log.error("%s fails: %s", self._sink.description, reason(error))
            self._failing = True
            self._summary.lost[self._sink.description] = self._summary.lost.get(self._sink.description, 0) + 1
        else:
            if self._failing:
                _log.warning("%s works again", self._sink.description)
            self._failing = False


class _StageTimer:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = 1000 * (now - self._last)
        self._last = now
