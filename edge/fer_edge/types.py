"""The values that pass between the stages. All are immutable; times are in seconds, lengths in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# An image has shape (H, W) grey or (H, W, 3) BGR, and dtype uint8.
Image = npt.NDArray[np.uint8]

# Probabilities are in the order of the model's labels: shape (C,), dtype float32.
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """One image from a source.

    Attributes:
        image: shape (H, W, 3), BGR, uint8.
        captured_at: seconds on a clock that never goes back: monotonic time for a live source, media time for a file.
        index: counts from 0; dropped frames of a live source leave gaps.
        still: whether it is a still image: it is searched fully, and faces are not tracked from one to the next.
        name: name of the file of a still image; empty if there is none.
        live: whether `captured_at` is on the machine's monotonic clock, so that latency can be measured.
        small: the same image scaled down by the camera's hardware; None if it does not do that.
    """

    image: Image
    captured_at: float = 0.0
    index: int = 0
    still: bool = False
    name: str = ""
    live: bool = False
    small: Image | None = None


@dataclass(frozen=True, slots=True)
class FaceBox:
    """An upright rectangle around a face, in pixels of the frame.

    Attributes:
        x: left edge.
        y: top edge.
        width: width.
        height: height.
        score: score of the detector, 0..1.
        roll: clockwise rotation of the head in the image, in degrees; 0 if the detector does not measure it.
    """

    x: float
    y: float
    width: float
    height: float
    score: float = 1.0
    roll: float = 0.0

    def __post_init__(self) -> None:
        """Turn NumPy numbers, which detectors often return, into Python numbers, which json accepts."""
        kinds = {type(self.x), type(self.y), type(self.width), type(self.height), type(self.score), type(self.roll)}
        if kinds != {float}:
            for name in ("x", "y", "width", "height", "score", "roll"):
                object.__setattr__(self, name, float(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Track:
    """A face that is tracked from frame to frame.

    Attributes:
        id: counts from 1; the same as long as the face is tracked.
        box: where the face is.
        age_s: seconds since the face was first seen.
        missed_s: seconds since it was last seen; 0 if it was seen in this frame.
        visible: whether to show it; False if it was lost some time ago, and only its id waits for it.
    """

    id: int
    box: FaceBox
    age_s: float
    missed_s: float
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Prediction:
    """The expression of a face.

    Attributes:
        probabilities: shape (C,), float32.
        label: the label.
        confidence: probability of `label`, 0..1.
        crop: the model's grey input, shape (48, 48), uint8; None if smoothed over several frames.
    """

    probabilities: Probabilities
    label: str
    confidence: float
    crop: Image | None = None


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A track with its expression: of this frame (`raw`) and smoothed over time (`smoothed`)."""

    track: Track
    raw: Prediction
    smoothed: Prediction

    @property
    def id(self) -> int:
        """The id of the track, which counts from 1."""
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
    """The results of one frame.

    Attributes:
        frame: the frame.
        faces: its faces.
        timings_ms: milliseconds by the name of the stage.
        labels: the model's labels, in the order of all probabilities; empty for those of FER2013 or FER+.
    """

    frame: Frame
    faces: tuple[TrackedFace, ...]
    timings_ms: Mapping[str, float]
    labels: tuple[str, ...] = ()

    @property
    def visible_faces(self) -> tuple[TrackedFace, ...]:
        """The faces to show, without those that were lost some time ago."""
        return tuple(face for face in self.faces if face.track.visible)
