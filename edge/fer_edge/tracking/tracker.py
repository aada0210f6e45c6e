"""Track faces: give the boxes of each frame to faces with an id."""

from __future__ import annotations

import math
from dataclasses import replace

from fer_edge.config import TrackerConfig
from fer_edge.detectors import Detector
from fer_edge.geometry import centred_between, distinct, iou, overlap
from fer_edge.timing import Stopwatch
from fer_edge.tracking.assignment import assign
from fer_edge.tracking.known_face import SAME_FACE, KnownFace, new_face
from fer_edge.tracking.scan_schedule import EARLY, ScanSchedule
from fer_edge.tracking.template import Template
from fer_edge.types import FaceBox, Frame, Track

# After this many seconds without a frame, tracking starts again: still images are further apart.
_LONGEST_GAP = 5.0
# The region search for a face that was just seen covers this multiple of its box.
_REACH = 1.5
# The region grows by this much per second for a face that was not seen, up to this size. Then a whole scan is due.
_REACH_GROWTH, _LONGEST_REACH = 3.0, 2.0
# A lost face is searched in every frame for this many seconds: most come back within this time.
_JUST_LOST = 0.2
# After that, its region searches are this many seconds apart: whole scans are more likely to find it.
_LOST_PAUSE = 0.3
# A face that the detector misses, but that looks unchanged, is kept for this many seconds if its mean score is at least
# this.
_PATIENCE, _PATIENT_FROM = 1.0, 0.5
# A face whose mean score is below this fraction of a certain one's is dropped when this many whole scans in a row did
# not find it. Turned heads, which scans miss too, have more.
_WEAK, _UNCONFIRMED = 0.4, 4
# One face passes in front of another if they overlap by more than this fraction of the smaller one.
_CROWDED = 0.1


class Tracker:
    """Tracks faces: whole scans from time to time, region searches between.

    The boxes of each frame are assigned to the faces by their expected positions, so that the sum of all overlaps is
    largest. A face is shown, and gets its id, after it was seen several times in a row.
    """

    def __init__(self, config: TrackerConfig, finding: Stopwatch | None = None) -> None:
        """Start without faces; the stopwatch, if given, measures the appearance search."""
        self._config = config
        self._finding = finding or Stopwatch()
        self._schedule = ScanSchedule(config)
        self._known: list[KnownFace] = []
        self._next_id = 1
        self._last_frame = -math.inf

    def pace_scans(self, pace: float) -> None:
        """Do whole scans at a fraction of the configured rate, as on a hot board."""
        self._schedule.pace = pace

    @property
    def is_idle(self) -> bool:
        """Whether there is no face, not even one that is not confirmed yet."""
        return not self._known

    def update(self, detector: Detector, frame: Frame) -> tuple[Track, ...]:
        """Return the tracks of this frame, the oldest first. A track that was just lost is kept for a moment."""
        now = frame.captured_at
        if frame.still or now - self._last_frame > _LONGEST_GAP:
            self._known = []
        scanned = self._scan(detector, frame)
        if self._schedule.is_cut:
            self._known = [face for face in self._known if self._is_still_there(face, frame)]
        recognised, looked = self._search(detector, frame)
        unmatched = self._match(frame, distinct(recognised + looked + scanned, SAME_FACE), recognised)
        self._count_scans(scanned, now)
        self._known = [face for face in self._known if self._is_kept(face, frame, _WEAK * detector.certain)]
        self._add(detector, frame, [box for box in unmatched if box in scanned])
        self._confirm()
        self._last_frame = now
        shown = sorted((face for face in self._known if face.id), key=lambda face: face.id)
        return tuple(self._track(face, now) for face in shown)

    def _track(self, face: KnownFace, now: float) -> Track:
        missed_s = now - face.last_seen
        box = replace(face.expected(now), score=face.score)
        return Track(face.id, box, now - face.first_seen, missed_s, visible=missed_s <= self._config.hide_after + EARLY)

    def _is_still_there(self, face: KnownFace, frame: Frame) -> bool:
        """Whether a face has the same appearance and position after a cut."""
        face.stop()
        with self._finding:
            return face.id > 0 and face.template.find(frame.image, face.box) is not None

    def _search(self, detector: Detector, frame: Frame) -> tuple[list[FaceBox], list[FaceBox]]:
        """Search for the tracked faces that are due; for a doubtful or just lost face, in every frame.

        Returns the boxes from the appearance search, and those from the detector.
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
            found = [] if self._is_crowded(face, now) else detector.detect_near(frame.image, place, reach)
            face.judge(max((box.score for box in found), default=0.0))  # 0 in a crowd, since it may be covered
            if not found and face.alike and now - face.detected < _PATIENCE and face.score >= _PATIENT_FROM:
                recognised.append(face.alike)
            looked += found
        return recognised, looked

    def _is_crowded(self, face: KnownFace, now: float) -> bool:
        """Whether another face is so near that a region search would confuse them; whole scans can separate them.

        A new face may be in the place of a lost one, which does not matter.
        """
        place = face.expected(now)
        others = [other for other in self._known if other is not face and (face.id or other.is_in_sight)]
        return any(overlap(place, other.expected(now)) > _CROWDED for other in others)

    def _pause(self, face: KnownFace, now: float) -> float:
        """Seconds between two searches for a face."""
        if not face.id:
            return 0.0
        if face.is_in_sight:
            return self._config.search_interval
        return 0.0 if now - face.last_seen < _JUST_LOST else _LOST_PAUSE

    def _scan(self, detector: Detector, frame: Frame) -> list[FaceBox]:
        seen = [face for face in self._known if face.id and face.is_in_sight]
        places = [face.expected(frame.captured_at) for face in seen]
        return self._schedule.scan(detector, frame, places, known=len(self._known))

    def _match(self, frame: Frame, found: list[FaceBox], recognised: list[FaceBox]) -> list[FaceBox]:
        """Assign the boxes to the tracked faces; return the remaining boxes."""
        now = frame.captured_at
        places = [(face.expected(now), face.moved_on(now)) for face in self._known] if found else []
        shared = [[max(iou(place, box) for place in ways) for box in found] for ways in places]
        pairs = assign([[part if part >= self._config.min_iou else 0.0 for part in row] for row in shared])
        for row, column in pairs:
            face, box = self._known[row], found[column]
            is_new = box not in recognised
            if is_new and face.alike and overlap(face.alike, box) > SAME_FACE:
                box = centred_between(
                    face.alike, box
                )  # the detector's boxes jitter, the position of the appearance search does not
            face.see(box, now)
            if is_new:
                with self._finding:
                    face.template, face.detected = Template(frame.image, box), now
        taken = {column for _, column in pairs}
        return [box for column, box in enumerate(found) if column not in taken]

    def _count_scans(self, scanned: list[FaceBox], now: float) -> None:
        """Count the whole scans that did not find a face: a region search also finds what only looks a little alike."""
        for face in self._known:
            if any(overlap(face.expected(now), box) > SAME_FACE for box in scanned):
                face.unconfirmed = 0
            elif self._schedule.is_complete:
                face.unconfirmed += 1

    def _is_kept(self, face: KnownFace, frame: Frame, weak: float) -> bool:
        now = frame.captured_at
        if face.unconfirmed >= _UNCONFIRMED and face.score < weak:
            return False
        if face.is_in_sight:  # a doubtful face must be seen each time
            return True
        height, width = frame.image.shape[:2]
        return (
            bool(face.id) and not face.has_left(width, height, now) and now - face.last_seen <= self._config.max_missed
        )

    def _add(self, detector: Detector, frame: Frame, boxes: list[FaceBox]) -> None:
        """Add new faces that the detector confirms in the same frame."""
        places = [face.expected(frame.captured_at) for face in self._known if face.is_in_sight]
        for box in boxes:
            if any(overlap(place, box) > SAME_FACE for place in places):
                continue
            if frame.still:  # it was searched fully, and there is no later frame to confirm it
                self._known.append(new_face(frame, box, certain=True))
                continue
            best = detector.confirm(frame.image, box)
            if best:
                self._known.append(new_face(frame, best, certain=box.score + best.score >= detector.certain))

    def _confirm(self) -> None:
        """Give an id to faces that were seen often enough or are certain; drop lost faces in their place."""
        for face in self._known:
            if not face.id and (face.certain or face.sightings >= self._config.confirm_after):
                face.id = self._next_id
                self._next_id += 1
                self._known = [other for other in self._known if other.is_in_sight or not other.is_at(face)]
