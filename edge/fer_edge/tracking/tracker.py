"""Boxes to tracks with an id."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fer_edge.config import TrackerConfig
from fer_edge.detectors import Detector
from fer_edge.geometry import centred_between, clip, distinct, iou, overlap
from fer_edge.timing import Stopwatch
from fer_edge.tracking.assignment import assign
from fer_edge.tracking.scan_schedule import EARLY, ScanSchedule
from fer_edge.tracking.template import Template
from fer_edge.types import FaceBox, Frame, Track

# Two boxes of one frame that share more than this part of the smaller are one face: people do not overlap so.
_SAME_FACE = 0.5
# Seconds without a frame after which nobody is followed on: still pictures stand further apart.
_LONGEST_GAP = 5.0
# Seconds after which 63 % of a change of speed has come through: boxes jitter by a few percent from frame to frame.
_STEADY_MOTION = 0.25
# The region searched for a face that was seen at the last look, in multiples of its box;
_REACH = 1.5
# how much larger it is for one that was not, for each second unseen, and where that ends, for a whole scan is due.
_REACH_GROWTH, _LONGEST_REACH = 3.0, 2.0
# Seconds for which a face that is not seen is looked for in every frame: most come back by then.
_JUST_LOST = 0.2
# Seconds between two looks for it thereafter: whole scans are likelier to find it.
_LOST_PAUSE = 0.15


@dataclass(slots=True)
class _Known:
    box: FaceBox
    first_seen: float
    last_seen: float
    last_looked: float
    # How it looked when a detector last saw it,
    template: Template
    # and when that was.
    detected: float
    # Whether a single frame left no doubt.
    certain: bool
    # Where it was recognised in this frame.
    alike: FaceBox | None = None
    # By the scan, and by a look each.
    sightings: int = 2
    # 0 until it is confirmed.
    id: int = 0
    # Pixels a second.
    speed: tuple[float, float] = (0.0, 0.0)

    @property
    def is_in_sight(self) -> bool:
        """Whether the last look at it saw it."""
        return self.last_looked == self.last_seen

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

    def __init__(self, config: TrackerConfig, finding: Stopwatch | None = None) -> None:
        """Begin with nobody; the stopwatch, if given, counts the recognising of faces."""
        self._config = config
        self._finding = finding or Stopwatch()
        self._scanner = ScanSchedule(config)
        self._known: list[_Known] = []
        self._next_id = 1
        self._last_frame = -math.inf

    def pace_scans(self, pace: float) -> None:
        """Do whole scans at a part of the configured rate: where the board is hot."""
        self._scanner.pace = pace

    @property
    def is_idle(self) -> bool:
        """Whether nobody is there, not even somebody who is not confirmed yet."""
        return not self._known

    def update(self, detector: Detector, frame: Frame) -> tuple[Track, ...]:
        """Return the faces of this frame, the oldest first; one that was just lost is kept for a moment."""
        now = frame.captured_at
        if frame.still or now - self._last_frame > _LONGEST_GAP:
            self._known = []
        scanned = self._scan(detector, frame)
        recognised, looked = self._look(detector, frame)
        unmatched = self._match(frame, distinct(recognised + looked + scanned, _SAME_FACE), recognised)
        self._known = [face for face in self._known if self._is_kept(face, frame)]
        self._add(detector, frame, [box for box in unmatched if box in scanned])
        self._confirm()
        self._last_frame = now
        shown = sorted((face for face in self._known if face.id), key=lambda face: face.id)
        return tuple(Track(face.id, face.expected(now), now - face.first_seen, now - face.last_seen) for face in shown)

    def _look(self, detector: Detector, frame: Frame) -> tuple[list[FaceBox], list[FaceBox]]:
        """Look for the known faces whose turn it is; for one that is doubtful or was just lost, in every frame.

        Returns the boxes of those that look as they did when the detector last saw them, and what it sees now.
        """
        now = frame.captured_at
        recognised: list[FaceBox] = []
        looked: list[FaceBox] = []
        for face in self._known:
            face.alike = None
            if now - face.last_looked < self._pause(face, now) - EARLY:
                continue
            missed_s = 0.0 if face.is_in_sight else now - face.last_seen
            reach = min(_REACH + _REACH_GROWTH * missed_s, _LONGEST_REACH)
            face.last_looked = now
            place = face.expected(now)
            if face.id:
                with self._finding:
                    face.alike = face.template.find(frame.image, place)
            if face.alike and now - face.detected < self._config.detect_interval - EARLY:
                recognised.append(face.alike)
                continue
            looked += detector.detect_near(frame.image, place, reach)
        return recognised, looked

    def _pause(self, face: _Known, now: float) -> float:
        """Seconds from one look at a face to the next."""
        if not face.id:
            return 0.0
        if face.is_in_sight:
            return self._config.look_interval
        return 0.0 if now - face.last_seen < _JUST_LOST else _LOST_PAUSE

    def _scan(self, detector: Detector, frame: Frame) -> list[FaceBox]:
        seen = [face for face in self._known if face.id and face.is_in_sight]
        places = [face.expected(frame.captured_at) for face in seen]
        return self._scanner.scan(detector, frame, places, everybody=bool(seen) and len(seen) == len(self._known))

    def _match(self, frame: Frame, found: list[FaceBox], recognised: list[FaceBox]) -> list[FaceBox]:
        """Give the boxes to the known faces; return those left over."""
        now = frame.captured_at
        expected = [face.expected(now) for face in self._known]
        shared = [[iou(place, box) for box in found] for place in expected]
        pairs = assign([[part if part >= self._config.min_iou else 0.0 for part in row] for row in shared])
        for row, column in pairs:
            face, box = self._known[row], found[column]
            is_new = box not in recognised
            if is_new and face.alike and overlap(face.alike, box) > _SAME_FACE:
                box = centred_between(face.alike, box)  # the detector's boxes jitter, the template's place does not
            face.see(box, now)
            face.last_looked = now
            if is_new:
                with self._finding:
                    face.template, face.detected = Template(frame.image, box), now
        taken = {column for _, column in pairs}
        return [box for column, box in enumerate(found) if column not in taken]

    def _is_kept(self, face: _Known, frame: Frame) -> bool:
        now = frame.captured_at
        if face.is_in_sight:  # as a doubtful one must be each time
            return True
        height, width = frame.image.shape[:2]
        place = clip(face.expected(now), width, height)
        has_left = not (place.width and place.height)  # it only moves further away: no box would ever be given to it
        return bool(face.id) and not has_left and now - face.last_seen <= self._config.max_missed

    def _add(self, detector: Detector, frame: Frame, boxes: list[FaceBox]) -> None:
        """Add newcomers whom a look in the same frame finds as well."""
        places = [face.expected(frame.captured_at) for face in self._known if face.is_in_sight]
        for box in boxes:
            if any(overlap(place, box) > _SAME_FACE for place in places):
                continue
            if frame.still:  # searched thoroughly, and no later frame could confirm it
                self._known.append(_known(frame, box, certain=True))
                continue
            looked = detector.detect_near(frame.image, box, _REACH)
            same = [other for other in looked if overlap(box, other) > _SAME_FACE]
            best = max(same, key=lambda other: other.score, default=None)
            if best and box.score + best.score >= detector.credible:
                self._known.append(_known(frame, best, certain=box.score + best.score >= detector.certain))

    def _confirm(self) -> None:
        """Give an id to those seen often enough, or beyond doubt; forget who was lost where they are now."""
        for face in self._known:
            if not face.id and (face.certain or face.sightings >= self._config.confirm_after):
                face.id = self._next_id
                self._next_id += 1
                self._known = [other for other in self._known if other.is_in_sight or not _at_one_place(other, face)]


def _at_one_place(lost: _Known, seen: _Known) -> bool:
    return overlap(lost.expected(seen.last_seen), seen.box) > _SAME_FACE


def _known(frame: Frame, box: FaceBox, *, certain: bool) -> _Known:
    now = frame.captured_at
    return _Known(box, now, now, now, Template(frame.image, box), now, certain)


def _centre(box: FaceBox) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2
