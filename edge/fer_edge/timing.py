"""Measure the time of each stage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from fer_edge.detectors import Detector
from fer_edge.types import FaceBox, Image


class StageTimer:
    """Milliseconds per stage, from its creation on."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to this stage."""
        now = time.perf_counter()
        self.laps[stage] = 1000 * (now - self._last)
        self._last = now

    def split(self, stage: str, within: str, spent: float) -> None:
        """Move `spent` milliseconds of a stage to another one that ran inside it."""
        self.laps[within] = spent
        self.laps[stage] -= spent


class Stopwatch:
    """Sums the time inside its `with` blocks, which may not be nested."""

    def __init__(self) -> None:
        self._spent = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._spent += time.perf_counter() - self._start

    def take(self) -> float:
        """Return the sum in milliseconds, and start again from 0."""
        spent, self._spent = 1000 * self._spent, 0.0
        return spent


class TimedDetector:
    """A detector that measures the time of its searches with a stopwatch."""

    def __init__(self, detector: Detector, stopwatch: Stopwatch) -> None:
        self.crop_calibration = detector.crop_calibration
        self.certain, self.variants = detector.certain, detector.variants
        self._detector = detector
        self._stopwatch = stopwatch

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """Call the detector."""
        return self._detector.regions(width, height)

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:
        """Call the detector."""
        with self._stopwatch:
            return self._detector.detect(image, part)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Call the detector."""
        with self._stopwatch:
            return self._detector.detect_near(image, expected, reach)

    def confirm(self, image: Image, box: FaceBox) -> FaceBox | None:
        """Call the detector."""
        with self._stopwatch:
            return self._detector.confirm(image, box)

    def close(self) -> None:
        """Call the detector."""
        self._detector.close()
