"""The state of one tracked face."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fer_edge.geometry import clip, moved, overlap
from fer_edge.tracking.template import Template
from fer_edge.types import FaceBox, Frame

# Two boxes of one frame are one face if they overlap by more than this fraction of the smaller one.
SAME_FACE = 0.5
# The speed is smoothed with this time constant in seconds, since boxes jitter by a few percent from frame to frame.
_STEADY_MOTION = 0.25
# A face that is not seen slows down with this time constant in seconds: most lost faces have turned or stopped.
_STOPS_WITHIN = 0.2
# The newest score of the detector has this weight in the mean of its scores.
_GAIN = 0.15


@dataclass(slots=True)
class KnownFace:
    """A face that was seen, and may be seen again.

    Attributes:
        box: where it was last seen.
        first_seen: seconds.
        last_seen: seconds.
        last_looked: seconds of the last search for it.
        template: its appearance when the detector last saw it.
        detected: seconds of that.
        certain: whether a single frame left no doubt.
        score: mean score of the detector over the latest searches; 0 for those without a box.
        alike: box of the appearance search in this frame.
        unconfirmed: whole scans that did not find it, since the last that did.
        sightings: frames in a row in which it was seen; a scan and a region search in one frame are two.
        id: 0 until it is confirmed.
        speed: pixels per second.
    """

    box: FaceBox
    first_seen: float
    last_seen: float
    last_looked: float
    template: Template
    detected: float
    certain: bool
    score: float
    alike: FaceBox | None = None
    unconfirmed: int = 0
    sightings: int = 2
    id: int = 0
    speed: tuple[float, float] = (0.0, 0.0)

    @property
    def is_in_sight(self) -> bool:
        """Whether the last search for it found it."""
        return self.last_looked == self.last_seen

    def expected(self, now: float) -> FaceBox:
        """Where it should be: it moves on and slows down."""
        way = _STOPS_WITHIN * (1 - math.exp(-(now - self.last_seen) / _STOPS_WITHIN))
        return moved(self.box, self.speed[0] * way, self.speed[1] * way)

    def moved_on(self, now: float) -> FaceBox:
        """Where it is if it kept its speed, like a person who passes behind another."""
        elapsed = now - self.last_seen
        return moved(self.box, self.speed[0] * elapsed, self.speed[1] * elapsed)

    def has_left(self, width: int, height: int, now: float) -> bool:
        """Whether it left a frame of this size."""
        inside = clip(self.moved_on(now), width, height)
        return not (inside.width and inside.height)

    def see(self, box: FaceBox, now: float) -> None:
        """Update it with the box where it was seen in this frame."""
        elapsed = now - self.last_seen
        if elapsed > 0:
            gain = 1 - math.exp(-elapsed / _STEADY_MOTION)
            way = (_centre(box)[axis] - _centre(self.box)[axis] for axis in (0, 1))
            x, y = (old + gain * (new / elapsed - old) for old, new in zip(self.speed, way, strict=True))
            self.speed = (x, y)
        self.box, self.last_seen, self.last_looked = box, now, now
        self.sightings += 1

    def judge(self, score: float) -> None:
        """Update its mean score with the detector's score of this frame; 0 if it was not found."""
        self.score += _GAIN * (score - self.score)

    def stop(self) -> None:
        """Set its speed to 0, since the scene has changed."""
        self.speed = (0.0, 0.0)

    def is_at(self, other: KnownFace) -> bool:
        """Whether its expected position is that of another face."""
        return overlap(self.expected(other.last_seen), other.box) > SAME_FACE


def new_face(frame: Frame, box: FaceBox, *, certain: bool) -> KnownFace:
    """Create a face from its first box."""
    now = frame.captured_at
    return KnownFace(box, now, now, now, Template(frame.image, box), now, certain, box.score)


def _centre(box: FaceBox) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2
