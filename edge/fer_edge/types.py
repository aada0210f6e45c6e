"""The values that flow between the stages. All are immutable; times are seconds, lengths pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# A picture: shape (H, W) grey or (H, W, 3) BGR, dtype uint8.
Image = npt.NDArray[np.uint8]

# One probability per class, in the order of the model's labels: shape (C,), dtype float32.
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from a source."""

    # Shape (H, W, 3), BGR, uint8.
    image: Image
    # Seconds on a clock that never runs backwards: monotonic time for a live source, media time for a file.
    captured_at: float = 0.0
    # Counts from 0; a live source that dropped frames shows a gap.
    index: int = 0
    # A still picture: it is searched fully, and nobody is followed from one to the next.
    still: bool = False
    # The file that a still picture came from, if any.
    name: str = ""
    # Whether `captured_at` is on the machine's monotonic clock, so that a delay can be told.
    live: bool = False
    # The same picture, scaled down by the camera's own hardware, where it does that.
    small: Image | None = None


@dataclass(frozen=True, slots=True)
class FaceBox:
    """An upright rectangle around a face, in pixels of the frame."""

    x: float
    y: float
    width: float
    height: float
    # The detector's own confidence, 0..1.
    score: float = 1.0
    # Degrees by which the head is tilted clockwise in the picture; 0 where the detector cannot tell.
    roll: float = 0.0

    def __post_init__(self) -> None:
        """Turn NumPy numbers, which detectors like to give, into Python's: results then work with json and the like."""
        for name in ("x", "y", "width", "height", "score", "roll"):
            value = getattr(self, name)
            if type(value) is not float:
                object.__setattr__(self, name, float(value))


@dataclass(frozen=True, slots=True)
class Track:
    """A face followed from frame to frame."""

    id: int
    box: FaceBox
    # Seconds since the face was first seen.
    age_s: float
    # Seconds since it was last seen; 0 when it was seen in this frame.
    missed_s: float
    # Whether to show it: not where it was lost some time ago, and only its id waits for it to come back.
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a face expresses."""

    probabilities: Probabilities
    label: str
    # The probability of `label`, 0..1.
    confidence: float
    # The grey crop that the model read, shape (48, 48), uint8; None for what was smoothed over several.
    crop: Image | None = None


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A track with its expression, as read in this frame and as steadied over time."""

    track: Track
    raw: Prediction
    smoothed: Prediction

    @property
    def id(self) -> int:
        """The same for as long as the face is followed; counts from 1."""
        return self.track.id

    @property
    def label(self) -> str:
        """The label to show: the smoothed one, or `uncertain`."""
        return self.smoothed.label

    @property
    def confidence(self) -> float:
        """The smoothed probability of the label, 0..1."""
        return self.smoothed.confidence

    @property
    def box(self) -> FaceBox:
        """Where the face is, in pixels of the frame."""
        return self.track.box


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything that is known about one frame. `timings_ms` maps a stage's name to milliseconds."""

    frame: Frame
    faces: tuple[TrackedFace, ...]
    timings_ms: Mapping[str, float]

    @property
    def visible_faces(self) -> tuple[TrackedFace, ...]:
        """The faces to show: without those that were lost some time ago, whose ids wait for them to come back."""
        return tuple(face for face in self.faces if face.track.visible)
