"""Face detectors: an image in, boxes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from fer_edge.config import DetectorConfig
from fer_edge.preprocess import CropCalibration
from fer_edge.types import FaceBox, Frame, Image


class Detector(Protocol):
    """Finds faces. Boxes are in pixels of the given image."""

    crop_calibration: CropCalibration
    """The transform from its boxes to the crop that the model was trained on."""

    certain: float
    """Smallest sum of the scores of a scan and of `confirm` that leaves no doubt, so that the face is shown at once."""
    variants: int
    """Number of whole scans in a row that differ, so that one finds faces that another misses."""

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """The parts of a whole scan, of about equal cost: the rectangle of each in a frame of this size.

        A part may search the whole frame, as the first one always does, or a tile of it.
        """
        ...

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:
        """Search an image.

        Args:
            image: shape (H, W, 3), BGR, uint8.
            part: a part of a scan, as an index into `regions`; None searches the image fully.
        """
        ...

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Region search: search for a face only near its expected box, which is much cheaper than a whole scan.

        Args:
            image: as for `detect`.
            expected: the expected box.
            reach: side of the region in multiples of the box. A larger one also allows a larger difference of size.
        """
        ...

    def confirm(self, image: Image, box: FaceBox) -> FaceBox | None:
        """Search again where a scan found a new face. Returns its box, or None if it is probably something else."""
        ...

    def close(self) -> None:
        """Release its resources."""
        ...


def open_detector(config: DetectorConfig) -> Detector:
    """Open the configured detector.

    Raises:
        MissingDependency: what it needs is not installed.
        ConfigError: its settings cannot be used.
    """
    return _LOADERS[config.name](config)


def scan(detector: Detector, frame: Frame, part: int | None = None) -> list[FaceBox]:
    """Search a frame fully, or do one part of a scan; boxes in pixels of the frame.

    If the camera also made a small image, that one is searched, except for tiles, which show small faces.
    """
    height, width = frame.image.shape[:2]
    small = frame.small
    is_tile = part is not None and detector.regions(width, height)[part] != FaceBox(0, 0, width, height)
    if small is None or is_tile:
        return detector.detect(frame.image, part)
    x, y = width / small.shape[1], height / small.shape[0]
    return [
        replace(box, x=box.x * x, y=box.y * y, width=box.width * x, height=box.height * y)
        for box in detector.detect(small, part)
    ]


def _haar(config: DetectorConfig) -> Detector:
    from fer_edge.detectors.haar import HaarDetector  # noqa: PLC0415 - only what is asked for is loaded

    return HaarDetector(config)


def _mediapipe(config: DetectorConfig) -> Detector:
    from fer_edge.detectors.mediapipe import MediaPipeDetector  # noqa: PLC0415

    return MediaPipeDetector(config)


_LOADERS: dict[str, Callable[[DetectorConfig], Detector]] = {"haar": _haar, "mediapipe": _mediapipe}
