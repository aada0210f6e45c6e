"""Boxes to tracks with an id, and the decision when a whole frame is worth its scan."""

from __future__ import annotations

from dataclasses import dataclass

from fer_edge.config import TrackerConfig
from fer_edge.detectors import Detector
from fer_edge.geometry import iou, overlap
from fer_edge.types import FaceBox, Frame, Track

_SAME_FACE = 0.5
"""Two boxes of one frame that share more than this part of the smaller are one face: people do not overlap so."""


_LONGEST_GAP = 5.0
"""Seconds without a frame after which nobody is followed on: still pictures stand further apart."""


@dataclass(slots=True)
class _Known:
    id: int
    box: FaceBox
    first_seen: float
    last_seen: float


class Tracker:
    """Follows faces: whole scans now and then, regions of interest between; greedy matching by overlap."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._known: list[_Known] = []
        self._next_id = 1
        self._last_scan: float | None = None
        self._last_frame = 0.0

    def update(self, detector: Detector, frame: Frame) -> tuple[Track, ...]:
        """Return the faces of this frame, the oldest first; one that was just lost is kept for a moment."""
        now = frame.captured_at
        if now - self._last_frame > _LONGEST_GAP:
            self._known = []
        found: list[FaceBox] = []
        if self._scan_is_due(now):
            self._last_scan = now
            found = detector.detect(frame.image)
        unmatched = self._match(found, now)
        self._follow(detector, frame)
        self._add(unmatched, now)
        self._known = [face for face in self._known if now - face.last_seen <= self._config.max_missed]
        self._last_frame = now
        return tuple(Track(face.id, face.box, now - face.first_seen, now - face.last_seen) for face in self._known)

    def _scan_is_due(self, now: float) -> bool:
        if self._last_scan is None:
            return True
        nobody_sure = not self._known or any(face.last_seen < self._last_frame for face in self._known)
        interval = self._config.idle_scan_interval if nobody_sure else self._config.scan_interval
        return now - self._last_scan >= interval

    def _match(self, found: list[FaceBox], now: float) -> list[FaceBox]:
        """Give each box to the known face it overlaps most, best pairs first; return the boxes left over."""
        pairs = sorted(
            ((iou(face.box, box), face.id, index) for face in self._known for index, box in enumerate(found)),
            reverse=True,
        )
        faces = {face.id: face for face in self._known}
        free = dict(enumerate(found))
        for shared, face_id, index in pairs:
            if shared < self._config.min_iou:
                break
            if face_id in faces and index in free:
                _see(faces.pop(face_id), free.pop(index), now)
        return list(free.values())

    def _follow(self, detector: Detector, frame: Frame) -> None:
        """Look for the faces not seen yet in this frame around their last place."""
        now = frame.captured_at
        for face in self._known:
            if face.last_seen < now:
                box = detector.detect_near(frame.image, face.box)
                if box and not self._is_taken(box, now):
                    _see(face, box, now)

    def _add(self, boxes: list[FaceBox], now: float) -> None:
        for box in boxes:
            if not self._is_taken(box, now):
                self._known.append(_Known(self._next_id, box, first_seen=now, last_seen=now))
                self._next_id += 1

    def _is_taken(self, box: FaceBox, now: float) -> bool:
        """Whether a box shows a face that was already seen in this frame, perhaps as a part of it."""
        return any(face.last_seen == now and overlap(face.box, box) > _SAME_FACE for face in self._known)


def _see(face: _Known, box: FaceBox, now: float) -> None:
    face.box = box
    face.last_seen = now
