"""Decide which part of a scan is done in which frame, so that no frame is late."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from fer_edge.config import TrackerConfig
from fer_edge.detectors import Detector, scan
from fer_edge.geometry import overlap
from fer_edge.tracking.known_face import SAME_FACE
from fer_edge.tracking.motion import MotionDetector
from fer_edge.types import FaceBox, Frame

# Work may be done this many seconds early, since the times of camera frames vary.
EARLY = 0.005
# At the start and after a cut, tiles are this many seconds apart until each was searched once.
_FIRST_TILES = 1 / 30
# At a low frame rate, at most this many tiles are searched per frame.
_MOST_TILES = 3
# They wait this many times longer once all of them showed nobody new. So do whole scans after so many without a face.
_SLOWER, _IN_VAIN = 2.0, 3
# At the start and after a cut, scans that differ begin this many seconds after one another.
_FIRST_SCANS = 0.1


class ScanSchedule:
    """Scans whole frames from time to time, and the tiles of a frame, which show small faces, in turn.

    Both wait longer where nothing has moved since the last time.
    """

    def __init__(self, config: TrackerConfig) -> None:
        # Rate of scans, as a fraction of the configured rate; lower on a hot board.
        self.pace = 1.0
        self._config = config
        self._motion = MotionDetector()
        self._began = -math.inf
        self._parts_left: list[int] = []
        self._last_frame = -math.inf
        self._searched: dict[int, float] = {}
        self._tiles_due = 0.0
        # Tiles searched since one of them showed somebody new, and whole scans since somebody was known.
        self._without_news = self._in_vain = 0
        # Whole scans since the start or the last cut.
        self._scans = 0
        self._size = (0, 0)
        self.is_complete = False
        """Whether the latest frame completed a scan of the whole frame."""
        self._whole: list[int] = []
        self._tiles: dict[int, FaceBox] = {}

    @property
    def is_cut(self) -> bool:
        """Whether the latest frame shows another scene than the previous one."""
        return self._motion.is_cut

    def scan(self, detector: Detector, frame: Frame, seen: Sequence[FaceBox], *, known: int) -> list[FaceBox]:
        """Do the scans that are due in this frame. A still image is searched fully.

        Args:
            detector: the detector.
            frame: the frame.
            seen: boxes of the tracked faces that are in sight.
            known: number of faces, including those that are lost or not confirmed yet.
        """
        if frame.still:
            return scan(detector, frame)
        now = frame.captured_at
        self._motion.update(frame.image, now, seen)
        if self.is_cut:
            self._began = self._last_frame = -math.inf
            self._searched, self._parts_left, self._without_news = {}, [], 0
            self._scans = self._in_vain = 0
        since, self._last_frame = now - self._last_frame, now
        height, width = frame.image.shape[:2]
        if (width, height) != self._size:
            self._take_size(detector, width, height)
        everybody = 0 < known == len(seen)  # only new faces are searched
        due = self._due_parts(now, since, detector.variants, self._interval(known, everybody=everybody), everybody)
        self.is_complete = bool(due) and not self._parts_left
        due = due or self._due_tiles(now, since)  # never both, so that no frame is late
        found = [box for part in due for box in scan(detector, frame, part)]
        self._in_vain = 0 if known else self._in_vain + self.is_complete
        if any(part in self._tiles for part in due):
            is_news = any(all(overlap(box, face) <= SAME_FACE for face in seen) for box in found)
            self._without_news = 0 if is_news else self._without_news + len(due)
        return found

    def _take_size(self, detector: Detector, width: int, height: int) -> None:
        """Frames have another size from now on, and so other tiles."""
        self._size, self._searched, self._parts_left = (width, height), {}, []
        everything = FaceBox(0, 0, width, height)
        regions = dict(enumerate(detector.regions(width, height)))
        self._whole = [part for part, region in regions.items() if region == everything]
        self._tiles = {part: region for part, region in regions.items() if region != everything}

    def _interval(self, known: int, *, everybody: bool) -> float:
        """Seconds between whole scans."""
        if everybody:
            return self._config.scan_interval
        in_vain = not known and self._in_vain >= _IN_VAIN
        return (_SLOWER if in_vain else 1.0) * self._config.idle_scan_interval

    def _due_parts(self, now: float, since: float, variants: int, interval: float, everybody: bool) -> list[int]:
        if not self._parts_left and self._is_due(now, variants, interval, everybody):
            self._began, self._parts_left = now, self._whole
            self._scans += 1
        count = len(self._parts_left)
        if since < self._config.scan_spread:
            count = min(math.ceil(len(self._whole) * since / self._config.scan_spread - 1e-6), count)
        due, self._parts_left = self._parts_left[:count], self._parts_left[count:]
        return due

    def _is_due(self, now: float, variants: int, interval: float, everybody: bool) -> bool:
        pause = (now - self._began + EARLY) * self.pace
        if self._scans < variants:
            return pause >= min(_FIRST_SCANS, interval)
        if pause < interval:
            return False
        return pause >= self._config.still_scan_interval or self._motion.has_moved(
            self._began, with_faces=not everybody
        )

    def _due_tiles(self, now: float, since: float) -> list[int]:
        """The tiles that are due: first those with motion, then those not searched for the longest time."""
        if not self._tiles:
            return []
        is_new = len(self._searched) < len(self._tiles)
        pause = self._config.tile_interval / self.pace
        interval = _FIRST_TILES if is_new else pause if self._without_news <= len(self._tiles) else _SLOWER * pause
        self._tiles_due = min(self._tiles_due + since / interval + EARLY, _MOST_TILES) if interval else _MOST_TILES
        if self._tiles_due < 1:
            return []
        due = sorted(self._worth_searching(now), key=lambda part: self._searched.get(part, -math.inf))
        due = due[: int(self._tiles_due)]
        self._tiles_due = self._tiles_due - len(due) if due else 1.0
        self._searched |= dict.fromkeys(due, now)
        return due

    def _worth_searching(self, now: float) -> Iterable[int]:
        for part, region in self._tiles.items():
            searched = self._searched.get(part, -math.inf)
            is_late = (now - searched) * self.pace >= self._config.still_scan_interval
            if is_late or self._motion.has_moved(searched, region):
                yield part
