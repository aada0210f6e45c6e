"""Boxes to tracks with an id, and the decision when a whole frame is worth its scan."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fer_edge.assignment import assign
from fer_edge.config import TrackerConfig
from fer_edge.detectors import Detector, scan
from fer_edge.geometry import distinct, iou, overlap
from fer_edge.types import FaceBox, Frame, Track

_SAME_FACE = 0.5
"""Two boxes of one frame that share more than this part of the smaller are one face: people do not overlap so."""
_LONGEST_GAP = 5.0
"""Seconds without a frame after which nobody is followed on: still pictures stand further apart."""
_STEADY_MOTION = 0.25
"""Seconds after which 63 % of a change of speed has come through: boxes jitter by a few percent from frame to frame."""
_REACH, _REACH_GROWTH, _LONGEST_REACH = 1.4, 1.5, 2.0
"""The region searched for a face that was just seen, in multiples of its box; how much that grows in a second unseen;
and where it ends, for then it is time for a whole scan."""
_JUST_LOST = 0.2
"""Seconds for which a face that is not seen is looked for in every frame: most come back by then."""
_EARLY = 0.005
"""Seconds by which something may be done early: cameras are not punctual."""


@dataclass(slots=True)
class _Known:
    box: FaceBox
    first_seen: float
    last_seen: float
    last_looked: float
    sightings: int = 1
    id: int = 0
    """0 until it is confirmed."""
    speed: tuple[float, float] = (0.0, 0.0)
    """Pixels a second."""

    def expected(self, now: float) -> FaceBox:
        """Where it should be, had it moved on as it did."""
        elapsed = now - self.last_seen
        return replace(self.box, x=self.box.x + self.speed[0] * elapsed, y=self.box.y + self.speed[1] * elapsed)

    def see(self, box: FaceBox, now: float) -> None:
        elapsed = now - self.last_seen
        if elapsed > 0:
            gain = 1 - math.exp(-elapsed / _STEADY_MOTION)
            moved = (_centre(box)[axis] - _centre(self.box)[axis] for axis in (0, 1))
            x, y = (old + gain * (new / elapsed - old) for old, new in zip(self.speed, moved, strict=True))
            self.speed = (x, y)
        self.box, self.last_seen = box, now
        self.sightings += 1


class Tracker:
    """Follows faces: whole scans now and then, regions of interest between.

    Each frame's boxes are given to the faces where they were expected, so that the overlap of all pairs together is
    greatest. A face is shown, and gets its id, once it was seen several times in a row.
    """

    def __init__(self, config: TrackerConfig) -> None:
        self.scan_pace = 1.0
        """How often whole scans are done, as a part of the configured rate: less where the board is hot."""
        self._config = config
        self._known: list[_Known] = []
        self._next_id = 1
        self._scan_began = -math.inf
        self._shares_left: list[int] = []
        self._last_frame = -math.inf

    @property
    def is_idle(self) -> bool:
        """Whether nobody is there, not even somebody who is not confirmed yet."""
        return not self._known

    def update(self, detector: Detector, frame: Frame) -> tuple[Track, ...]:
        """Return the faces of this frame, the oldest first; one that was just lost is kept for a moment."""
        now = frame.captured_at
        if now - self._last_frame > _LONGEST_GAP:
            self._known = []
        scanned = self._scan(detector, frame)
        seen = self._look(detector, frame)
        unmatched = self._match(distinct(seen + scanned, _SAME_FACE), now)
        self._known = [face for face in self._known if self._is_kept(face, now)]
        self._add([box for box in unmatched if box in scanned], now)
        self._confirm(at_once=bool(frame.name))
        self._last_frame = now
        shown = sorted((face for face in self._known if face.id), key=lambda face: face.id)
        return tuple(Track(face.id, face.expected(now), now - face.first_seen, now - face.last_seen) for face in shown)

    def _look(self, detector: Detector, frame: Frame) -> list[FaceBox]:
        """Look for the known faces whose turn it is; for one that is doubtful or was just lost, in every frame."""
        now = frame.captured_at
        found: list[FaceBox] = []
        for face in self._known:
            was_just_lost = face.last_looked > face.last_seen and now - face.last_seen < _JUST_LOST
            if face.id and not was_just_lost and now - face.last_looked < self._config.look_interval - _EARLY:
                continue
            face.last_looked = now
            reach = min(_REACH + _REACH_GROWTH * (now - face.last_seen), _LONGEST_REACH)
            found += detector.detect_near(frame.image, face.expected(now), reach)
        return found

    def _scan(self, detector: Detector, frame: Frame) -> list[FaceBox]:
        """Go on with a whole scan, or begin one if it is due; a still picture is searched thoroughly."""
        if frame.name:
            return scan(detector, frame)
        now = frame.captured_at
        if not self._shares_left and now - self._scan_began >= self._interval() - _EARLY:
            self._scan_began = now
            self._shares_left = list(range(detector.shares))
        count = len(self._shares_left)
        since = now - self._last_frame
        if since < self._config.scan_spread:
            count = min(math.ceil(detector.shares * since / self._config.scan_spread - 1e-6), count)
        due, self._shares_left = self._shares_left[:count], self._shares_left[count:]
        return [box for share in due for box in scan(detector, frame, share)]

    def _interval(self) -> float:
        everybody_seen = self._known and all(face.id and face.last_looked == face.last_seen for face in self._known)
        interval = self._config.scan_interval if everybody_seen else self._config.idle_scan_interval
        return interval / self.scan_pace

    def _match(self, found: list[FaceBox], now: float) -> list[FaceBox]:
        """Give the boxes to the known faces; return those left over."""
        expected = [face.expected(now) for face in self._known]
        shared = [[iou(place, box) for box in found] for place in expected]
        pairs = assign([[part if part >= self._config.min_iou else 0.0 for part in row] for row in shared])
        for row, column in pairs:
            self._known[row].see(found[column], now)
            self._known[row].last_looked = now
        taken = {column for _, column in pairs}
        return [box for column, box in enumerate(found) if column not in taken]

    def _is_kept(self, face: _Known, now: float) -> bool:
        if not face.id:  # a doubtful one must be seen each time
            return face.last_looked == face.last_seen
        return now - face.last_seen <= self._config.max_missed

    def _add(self, boxes: list[FaceBox], now: float) -> None:
        places = [face.expected(now) for face in self._known]
        for box in boxes:
            if all(overlap(place, box) <= _SAME_FACE for place in places):
                self._known.append(_Known(box, first_seen=now, last_seen=now, last_looked=now))

    def _confirm(self, *, at_once: bool) -> None:
        """Give an id to those seen often enough; a still picture has no later frame to confirm it."""
        for face in self._known:
            if not face.id and (at_once or face.sightings >= self._config.confirm_after):
                face.id = self._next_id
                self._next_id += 1


def _centre(box: FaceBox) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2
