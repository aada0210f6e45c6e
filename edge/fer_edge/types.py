"""The values that flow between the stages. All are immutable; times are seconds, lengths pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""A picture: shape (H, W) grey or (H, W, 3) BGR, dtype uint8."""

Probabilities = npt.NDArray[np.float32]
"""One probability a class, in the order of the model's labels: shape (C,), dtype float32."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from a source."""

    image: Image
    """Shape (H, W, 3), BGR, uint8."""
    captured_at: float
    """Seconds on a clock that never runs backwards: monotonic time for a live source, media time for a file."""
    index: int
    """Counts from 0; a live source that dropped frames shows a gap."""
    name: str = ""
    """The file that a still picture came from."""
    live: bool = False
    """Whether `captured_at` is on the machine's monotonic clock, so that a delay can be told."""
    small: Image | None = None
    """The same picture, scaled down by the camera's own hardware, where it does that."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """An upright rectangle around a face, in pixels of the frame."""

    x: float
    y: float
    width: float
    height: float
    score: float = 1.0
    """The detector's own confidence, 0..1."""
    roll: float = 0.0
    """Degrees by which the head is tilted clockwise in the picture; 0 where the detector cannot tell."""


@dataclass(frozen=True, slots=True)
class Track:
    """A face followed from frame to frame."""

    id: int
    box: FaceBox
    age_s: float
    """Seconds since the face was first seen."""
    missed_s: float
    """Seconds since it was last seen; 0 when it was seen in this frame."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a face expresses."""

    probabilities: Probabilities
    label: str
    confidence: float
    """The probability of `label`, 0..1."""


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A track with its expression, as read in this frame and as steadied over time."""

    track: Track
    raw: Prediction
    smoothed: Prediction


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything that is known about one frame. `timings_ms` maps a stage's name to milliseconds."""

    frame: Frame
    faces: tuple[TrackedFace, ...]
    timings_ms: Mapping[str, float]
