"""Face detectors: a picture in, boxes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from fer_edge.config import DetectorConfig
from fer_edge.preprocess import CropCalibration
from fer_edge.types import FaceBox, Frame, Image


class Detector(Protocol):
    """Finds faces. Boxes are in pixels of the picture given."""

    framing: CropCalibration
    """How its boxes become the crop that the model was trained on."""

    shares: int
    """In how many shares, of about equal work, a whole scan can be done."""

    credible: float
    """Scores of a scan and of a look at the same place, together, below which it is no face;"""
    certain: float
    """and from which on it is one without doubt."""

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:
        """Search a whole picture, shape (H, W, 3), BGR, uint8; or do one share of it, 0 to `shares` - 1."""
        ...

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Look for a face only around where it should be, at about its size: far cheaper than a whole scan.

        Args:
            image: as for `detect`.
            expected: the face's likely box.
            reach: side of the region searched, in multiples of the box; the larger it is, the more may the size differ.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def open_detector(config: DetectorConfig) -> Detector:
    """Open the configured detector.

    Raises:
        MissingDependency: what it needs is not installed.
        ConfigError: its settings cannot be used.
    """
    return _LOADERS[config.name](config)


def scan(detector: Detector, frame: Frame, share: int | None = None) -> list[FaceBox]:
    """Search a whole frame, in the small picture if the camera made one; boxes in pixels of the frame."""
    if frame.small is None:
        return detector.detect(frame.image, share)
    x, y = (frame.image.shape[axis] / frame.small.shape[axis] for axis in (1, 0))
    return [
        replace(box, x=box.x * x, y=box.y * y, width=box.width * x, height=box.height * y)
        for box in detector.detect(frame.small, share)
    ]


def _haar(config: DetectorConfig) -> Detector:
    from fer_edge.detectors.haar import HaarDetector  # noqa: PLC0415 - only what is asked for is loaded

    return HaarDetector(config)


def _mediapipe(config: DetectorConfig) -> Detector:
    from fer_edge.detectors.mediapipe import MediaPipeDetector  # noqa: PLC0415

    return MediaPipeDetector(config)


_LOADERS: dict[str, Callable[[DetectorConfig], Detector]] = {"haar": _haar, "mediapipe": _mediapipe}
