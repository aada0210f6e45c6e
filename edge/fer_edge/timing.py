"""How long each stage takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from fer_edge.detectors import Detector
from fer_edge.types import FaceBox, Image


class StageTimer:
    """Milliseconds by stage, from its making on."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The time since the last lap belongs to this stage."""
        now = time.perf_counter()
        self.laps[stage] = 1000 * (now - self._last)
        self._last = now

    def split(self, stage: str, within: str, spent: float) -> None:
        """Of a stage's time, `spent` milliseconds belong to another, which ran within it."""
        self.laps[within] = spent
        self.laps[stage] -= spent


class Stopwatch:
    """The time spent within its `with` blocks, which may not be nested."""

    def __init__(self) -> None:
        self._spent = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._spent += time.perf_counter() - self._start

    def take(self) -> float:
        """Milliseconds since the last call of this."""
        spent, self._spent = 1000 * self._spent, 0.0
        return spent


class TimedDetector:
    """A detector whose searches a stopwatch counts."""

    def __init__(self, detector: Detector, stopwatch: Stopwatch) -> None:
        self.crop_calibration = detector.crop_calibration
        self.credible, self.certain = detector.credible, detector.certain
        self._detector = detector
        self._stopwatch = stopwatch

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """As the detector has them."""
        return self._detector.regions(width, height)

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:
        """As the detector does."""
        with self._stopwatch:
            return self._detector.detect(image, share)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """As the detector does."""
        with self._stopwatch:
            return self._detector.detect_near(image, expected, reach)

    def close(self) -> None:
        """As the detector does."""
        self._detector.close()
