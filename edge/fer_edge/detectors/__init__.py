"""Face detectors: a picture in, boxes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from fer_edge.config import DetectorConfig
from fer_edge.preprocess import CropCalibration
from fer_edge.types import FaceBox, Frame, Image


class Detector(Protocol):
    """Finds faces. Boxes are in pixels of the picture given."""

    crop_calibration: CropCalibration
    """How its boxes become the crop that the model was trained on."""

    credible: float
    """Scores of a scan and of a look at the same place, together, below which it is no face;"""
    certain: float
    """and from which on it is one without doubt."""

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """The shares of a whole scan, of about equal cost: the rectangle that each searches in a frame of this size.

        A share may search the whole frame, as the first always does, or a tile of it.
        """
        ...

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:
        """Search a picture.

        Args:
            image: shape (H, W, 3), BGR, uint8.
            share: a share of a scan, an index into `regions`; if left out, the picture is searched fully.
        """
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
    """Search a frame fully, or do one share of a scan; boxes in pixels of the frame.

    Where the camera made a small picture as well, that one is searched, except for tiles: they look for small faces.
    """
    height, width = frame.image.shape[:2]
    small = frame.small
    is_tile = share is not None and detector.regions(width, height)[share] != FaceBox(0, 0, width, height)
    if small is None or is_tile:
        return detector.detect(frame.image, share)
    x, y = width / small.shape[1], height / small.shape[0]
    return [
        replace(box, x=box.x * x, y=box.y * y, width=box.width * x, height=box.height * y)
        for box in detector.detect(small, share)
    ]


def _haar(config: DetectorConfig) -> Detector:
    from fer_edge.detectors.haar import HaarDetector  # noqa: PLC0415 - only what is asked for is loaded

    return HaarDetector(config)


def _mediapipe(config: DetectorConfig) -> Detector:
    from fer_edge.detectors.mediapipe import MediaPipeDetector  # noqa: PLC0415

    return MediaPipeDetector(config)


_LOADERS: dict[str, Callable[[DetectorConfig], Detector]] = {"haar": _haar, "mediapipe": _mediapipe}
