"""What the tracker remembers of a face."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fer_edge.geometry import clip, overlap
from fer_edge.tracking.template import Template
from fer_edge.types import FaceBox, Frame

# Two boxes of one frame that share more than this part of the smaller are one face: people do not overlap so.
SAME_FACE = 0.5
# Seconds after which 63 % of a change of speed has come through: boxes jitter by a few percent from frame to frame.
_STEADY_MOTION = 0.25
# Seconds after which a face that is not seen has lost 63 % of its speed: most of those lost have turned or stopped.
_STOPS_WITHIN = 0.2
# What one look by the detector counts against all those before.
_GAIN = 0.15


@dataclass(slots=True)
class KnownFace:
    """A face that was seen, and may be again."""

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
    # The detector's scores, averaged over the latest looks; 0 where it saw nothing.
    score: float
    # Where it was recognised in this frame.
    alike: FaceBox | None = None
    # By the scan, and by one look each.
    sightings: int = 2
    # 0 until it is confirmed.
    id: int = 0
    # Pixels per second.
    speed: tuple[float, float] = (0.0, 0.0)

    @property
    def is_in_sight(self) -> bool:
        """Whether the last look at it saw it."""
        return self.last_looked == self.last_seen

    def expected(self, now: float) -> FaceBox:
        """Where it should be: it moves on, ever slower."""
        way = _STOPS_WITHIN * (1 - math.exp(-(now - self.last_seen) / _STOPS_WITHIN))
        return replace(self.box, x=self.box.x + self.speed[0] * way, y=self.box.y + self.speed[1] * way)

    def moved_on(self, now: float) -> FaceBox:
        """Where it is if it kept its speed, as somebody does who passes behind another."""
        elapsed = now - self.last_seen
        return replace(self.box, x=self.box.x + self.speed[0] * elapsed, y=self.box.y + self.speed[1] * elapsed)

    def has_left(self, width: int, height: int, now: float) -> bool:
        """Whether it walked out of a frame of this size."""
        inside = clip(self.moved_on(now), width, height)
        return not (inside.width and inside.height)

    def see(self, box: FaceBox, now: float) -> None:
        """It was seen in this frame."""
        elapsed = now - self.last_seen
        if elapsed > 0:
            gain = 1 - math.exp(-elapsed / _STEADY_MOTION)
            moved = (_centre(box)[axis] - _centre(self.box)[axis] for axis in (0, 1))
            x, y = (old + gain * (new / elapsed - old) for old, new in zip(self.speed, moved, strict=True))
            self.speed = (x, y)
        self.box, self.last_seen, self.last_looked = box, now, now
        self.sightings += 1

    def judge(self, score: float) -> None:
        """The detector looked, and gave this score; 0 where it saw nothing."""
        self.score += _GAIN * (score - self.score)

    def stop(self) -> None:
        """Expect it where it was: the scene has changed."""
        self.speed = (0.0, 0.0)

    def is_at(self, other: KnownFace) -> bool:
        """Whether it should be where another is seen."""
        return overlap(self.expected(other.last_seen), other.box) > SAME_FACE


def new_face(frame: Frame, box: FaceBox, *, certain: bool) -> KnownFace:
    """A face as it is first seen."""
    now = frame.captured_at
    return KnownFace(box, now, now, now, Template(frame.image, box), now, certain, box.score)


def _centre(box: FaceBox) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2
