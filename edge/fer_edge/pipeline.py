"""The loop: frames in, results out.

for frame in source:
    tracks = tracker.update(detector, frame)
    predictions = classifier.classify(frame, tracks)
    faces = smoother.update(tracks, predictions, frame.captured_at)
    for sink in sinks:
        sink.emit(FrameResult(frame, faces, timings))
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from fer_edge.bundle import find_bundle, load_bundle
from fer_edge.classifier import Classifier
from fer_edge.config import RunConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.pace import Pace
from fer_edge.sinks import Sink, StopRun
from fer_edge.sinks.guarded import Guarded
from fer_edge.sinks.queued import Queued
from fer_edge.smoothing import Smoother
from fer_edge.sources import Source
from fer_edge.stopwatch import StageTimer, Stopwatch, TimedDetector
from fer_edge.summary import Summary
from fer_edge.thermal import Governor
from fer_edge.tracker import Tracker
from fer_edge.types import Frame, FrameResult


class Pipeline:
    """The stages between a source and the sinks; what becomes of the camera goes by here too."""

    def __init__(self, config: RunConfig) -> None:
        """Open detector and model.

        Raises:
            ModelError: the model cannot be used.
            MissingDependency: a part is not installed.
        """
        detector: Detector = open_detector(config.detector)
        self._config = config
        self._finding = Stopwatch()
        self._detector = TimedDetector(detector, self._finding)
        self._classifier = Classifier(load_bundle(find_bundle(config.model)), detector.framing, threads=config.threads)
        self._tracker = Tracker(config.tracker, self._finding)
        self._smoother = Smoother(config.smoothing, self._classifier.labels)
        self._outputs: list[Sink] = []

    def close(self) -> None:
        """Close the detector."""
        self._detector.close()

    def waiting(self, what: str) -> None:
        """Tell the sinks that there is no frame, since the camera is gone."""
        for output in self._outputs:
            output.waiting(what)

    def remark(self, what: str) -> None:
        """Tell the sinks that the camera's pictures are odd."""
        for output in self._outputs:
            output.remark(what)

    def process(self, frame: Frame) -> FrameResult:
        """Find, follow, read and steady the faces of one frame."""
        timer = StageTimer()
        tracks = self._tracker.update(self._detector, frame)
        timer.lap("track")
        timer.split("track", "detect", self._finding.take())
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
        governor, pace = Governor(), Pace(self._config.max_fps, self._config.power_save)
        summary.begin()
        with ExitStack() as stack, suppress(StopRun):
            self._outputs = [_output(sink, summary, stack, live=source.live) for sink in sinks]
            for frame in source:
                started = frame.captured_at if source.live else time.monotonic()
                result = self.process(frame)
                summary.count(result, time.monotonic() - started)
                for output in self._outputs:
                    output.emit(result)
                if summary.frames == max_frames:
                    break
                if source.live:
                    self._tracker.pace_scans(governor.pace(time.monotonic()))
                    time.sleep(pace.pause(time.monotonic(), nobody=self._tracker.is_idle))


def _output(sink: Sink, summary: Summary, stack: ExitStack, *, live: bool) -> Sink:
    guarded = Guarded(sink, summary.lost)
    return stack.enter_context(Queued(guarded, live=live)) if sink.slow else guarded
