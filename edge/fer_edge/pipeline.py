"""The main loop: frames in, results out.

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
from typing import Self

from fer_edge.config import RunConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.device.frame_rate import FrameRateLimiter
from fer_edge.device.thermal import Governor
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.opencv import set_threads
from fer_edge.run_stats import RunStats
from fer_edge.sinks import Sink, StopRun
from fer_edge.sinks.blur import FaceBlur
from fer_edge.sinks.fault_tolerant import FaultTolerantSink
from fer_edge.sinks.queued import QueuedSink
from fer_edge.sources import Source
from fer_edge.timing import StageTimer, Stopwatch, TimedDetector
from fer_edge.tracking.smoothing import Smoother
from fer_edge.tracking.tracker import Tracker
from fer_edge.types import Frame, FrameResult


class Pipeline:
    """Detector, tracker, classifier and smoother: a context manager that turns frames into results.

    with Pipeline() as pipeline:
        result = pipeline.process(Frame(image, still=True))
    """

    def __init__(self, config: RunConfig | None = None, *, detector: Detector | None = None) -> None:
        """Open detector and model.

        Args:
            config: the configuration; None for the defaults.
            detector: a detector of your own, instead of the configured one. The pipeline closes it.

        Raises:
            ModelError: the model cannot be used.
            ConfigError: the detector's settings cannot be used.
            MissingDependency: a package or library is not installed.
        """
        config = config or RunConfig()
        set_threads(config.threads)
        self.model = load_bundle(find_bundle(config.model))
        detector = detector or open_detector(config.detector)
        self._config = config
        self._finding = Stopwatch()
        self._detector = TimedDetector(detector, self._finding)
        self._classifier = Classifier(
            self.model,
            detector.crop_calibration,
            threads=config.threads,
            prior=config.classifier.prior,
        )
        self._tracker = Tracker(config.tracker, self._finding)
        self._smoother = Smoother(config.smoothing, self._classifier.labels)
        self._blur = FaceBlur() if config.blur else None
        self._outputs: list[Sink] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels, in the order of its probabilities."""
        return self._classifier.labels

    def close(self) -> None:
        """Close the detector."""
        self._detector.close()

    def waiting(self, what: str) -> None:
        """Tell the sinks that there is no frame because the camera is lost."""
        for output in self._outputs:
            output.waiting(what)

    def remark(self, what: str) -> None:
        """Tell the sinks that something is wrong with the camera's frames."""
        for output in self._outputs:
            output.remark(what)

    def process(self, frame: Frame) -> FrameResult:
        """Detect, track and classify the faces of one frame, and smooth their labels."""
        timer = StageTimer()
        tracks = self._tracker.update(self._detector, frame)
        timer.lap("track")
        timer.split("track", "detect", self._finding.take())
        predictions = self._classifier.classify(frame, tracks)
        timer.lap("classify")
        faces = self._smoother.update(tracks, predictions, frame.captured_at)
        timer.lap("smooth")
        return FrameResult(frame, faces, timer.laps, self.labels)

    def run(
        self, source: Source, sinks: Sequence[Sink], stats: RunStats | None = None, max_frames: int | None = None
    ) -> None:
        """Process frames until the source ends, a sink raises `StopRun`, or `max_frames` are done.

        Args:
            source: an open source.
            sinks: open sinks.
            stats: updated after each frame.
            max_frames: stop after this many frames; None for no limit.

        Raises:
            SourceError: the source failed.
        """
        governor, pace = Governor(), FrameRateLimiter(self._config.max_fps, self._config.power_save)
        stats = stats or RunStats()
        stats.begin()
        with ExitStack() as stack, suppress(StopRun):
            self._outputs = [_output(sink, stats, stack, live=source.live) for sink in sinks]
            for frame in source:
                started = frame.captured_at if source.live else time.monotonic()
                result = self.process(frame)
                shown = self._blur.apply(result) if self._blur else result
                stats.count(result, time.monotonic() - started)
                for output in self._outputs:
                    output.emit(shown)
                if stats.frames == max_frames:
                    break
                if source.live:
                    self._tracker.pace_scans(governor.pace(time.monotonic()))
                    time.sleep(pace.pause(time.monotonic(), nobody=self._tracker.is_idle))


def _output(sink: Sink, stats: RunStats, stack: ExitStack, *, live: bool) -> Sink:
    guarded = FaultTolerantSink(sink, stats.lost)
    return stack.enter_context(QueuedSink(guarded, live=live)) if sink.slow else guarded
