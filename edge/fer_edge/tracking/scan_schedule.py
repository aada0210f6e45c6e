"""When a whole frame is worth its scan, and the scan in shares, so that no frame is late."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fer_edge.config import TrackerConfig
from fer_edge.detectors import Detector, scan
from fer_edge.tracking.motion import MotionDetector
from fer_edge.types import FaceBox, Frame

# Seconds by which something may be done early: cameras are not punctual.
EARLY = 0.005


class ScanSchedule:
    """Scans whole frames now and then: seldom while the picture stands still, and then for what was missed."""

    def __init__(self, config: TrackerConfig) -> None:
        self.pace = 1.0
        """How often, as a part of the configured rate: less where the board is hot."""
        self._config = config
        self._scene = MotionDetector()
        self._began = -math.inf
        self._shares_left: list[int] = []
        self._last_frame = -math.inf

    def scan(self, detector: Detector, frame: Frame, seen: Iterable[FaceBox], *, everybody: bool) -> list[FaceBox]:
        """Go on with a scan, or begin one if it is due; a still picture is searched thoroughly.

        Args:
            detector: searches.
            frame: is searched.
            seen: the known faces that are in sight.
            everybody: whether these are all there were, and at least one: then only newcomers are looked for.
        """
        if frame.still:
            return scan(detector, frame)
        now = frame.captured_at
        shares = len(detector.regions(frame.image.shape[1], frame.image.shape[0]))
        if not self._shares_left and self._is_due(frame, seen, everybody=everybody):
            self._began = now
            self._scene.remember(frame.image)
            self._shares_left = list(range(shares))
        count = len(self._shares_left)
        since = now - self._last_frame
        self._last_frame = now
        if since < self._config.scan_spread:
            count = min(math.ceil(shares * since / self._config.scan_spread - 1e-6), count)
        due, self._shares_left = self._shares_left[:count], self._shares_left[count:]
        return [box for share in due for box in scan(detector, frame, share)]

    def _is_due(self, frame: Frame, seen: Iterable[FaceBox], *, everybody: bool) -> bool:
        pause = (frame.captured_at - self._began + EARLY) * self.pace
        interval = self._config.scan_interval if everybody else self._config.idle_scan_interval
        if pause < interval:
            return False
        return pause >= self._config.still_scan_interval or not self._scene.is_still(frame.image, seen)
