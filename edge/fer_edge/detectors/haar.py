"""OpenCV's Haar cascade (Viola & Jones, 2001): old, quick, no model to download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_edge.config import DetectorConfig
from fer_edge.errors import ConfigError, MissingDependency
from fer_edge.geometry import clip, expand
from fer_edge.preprocess import Framing, to_grey
from fer_edge.types import FaceBox, Image

CASCADE = "haarcascade_frontalface_default.xml"

_DEBIAN = Path("/usr/share/opencv4/haarcascades")
_SCALE_STEP = 1.1
_NEAR_REACH = 1.6
"""The region searched for a known face, in multiples of its box."""
_NEAR_FACE = 52
"""The face's size there after scaling, in pixels: at 36 the cascade loses a sixth of the faces it just saw, at 52 none
that matter, in 2 ms on one core."""
_NEAR_HITS = 3
"""Overlapping hits that confirm a face which is expected there."""
_NEAR_TOLERANCE = 0.25
"""How much a face may grow or shrink between two frames."""


class HaarDetector:
    """Frontal faces by Haar cascade."""

    framing = Framing(scale=1.03, dx=0.0, dy=0.01)
    """Medians over the PublicTest faces that the cascade finds: its box is all but FER2013's own crop."""

    def __init__(self, config: DetectorConfig) -> None:
        """Load the cascade.

        Raises:
            MissingDependency: this OpenCV has no cascades.
            ConfigError: the configured cascade file cannot be used.
        """
        self._config = config
        self._cascade = _load(find_cascade(config.cascade))

    def detect(self, image: Image) -> list[FaceBox]:
        """Search the whole picture, scaled to the configured width."""
        height, width = image.shape[:2]
        scale = min(self._config.scan_width / width, 1.0)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        smallest = (self._config.min_face, self._config.min_face)
        found = self._search(image, size, self._config.min_neighbours, smallest, (0, 0))
        return [_scaled(box, width / size[0], height / size[1]) for box in found]

    def detect_near(self, image: Image, last: FaceBox) -> FaceBox | None:
        """Search around the last place, scaled so that the face is just large enough for the cascade."""
        region = clip(expand(last, _NEAR_REACH), image.shape[1], image.shape[0])
        left, top = int(region.x), int(region.y)
        part = image[top : int(region.y + region.height), left : int(region.x + region.width)]
        if min(part.shape[:2]) < self._config.min_face:
            return None
        scale = min(_NEAR_FACE / last.width, 1.0)
        size = (max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1))
        face = last.width * scale
        smallest, largest = int(face * (1 - _NEAR_TOLERANCE)), int(face * (1 + _NEAR_TOLERANCE)) + 1
        found = self._search(part, size, _NEAR_HITS, (smallest, smallest), (largest, largest))
        if not found:
            return None
        best = max(found, key=lambda box: box.score)
        box = _scaled(best, part.shape[1] / size[0], part.shape[0] / size[1])
        return FaceBox(box.x + left, box.y + top, box.width, box.height, box.score)

    def _search(
        self, image: Image, size: tuple[int, int], min_hits: int, smallest: tuple[int, int], largest: tuple[int, int]
    ) -> list[FaceBox]:
        """Boxes in pixels of the picture scaled to `size`."""
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        grey = cv2.equalizeHist(to_grey(small))
        boxes, hits = self._cascade.detectMultiScale2(grey, _SCALE_STEP, min_hits, minSize=smallest, maxSize=largest)
        return [_face(box, int(count), min_hits) for box, count in zip(boxes, hits, strict=True)]


def find_cascade(configured: Path | None = None) -> Path:
    """Return the cascade's file: the configured one, OpenCV's own, or Debian's.

    Raises:
        MissingDependency: there is none; names the package.
        ConfigError: the configured file is missing.
    """
    if configured is not None:
        if not configured.is_file():
            raise ConfigError(f"detector.cascade: {configured}: no such file")
        return configured
    if not hasattr(cv2, "CascadeClassifier"):
        raise MissingDependency(
            f"OpenCV {cv2.__version__} has no Haar cascades. Mend: pip install 'opencv-python>=4.11,<5'"
        )
    own = getattr(getattr(cv2, "data", None), "haarcascades", None)
    for folder in (own, _DEBIAN):
        if folder and (Path(folder) / CASCADE).is_file():
            return Path(folder) / CASCADE
    raise MissingDependency(f"{CASCADE} is not installed. Mend: sudo apt install opencv-data")


def _load(path: Path) -> cv2.CascadeClassifier:
    try:
        cascade = cv2.CascadeClassifier(str(path))
    except (cv2.error, SystemError) as error:
        raise ConfigError(f"{path}: is not a Haar cascade") from error
    if cascade.empty():
        raise ConfigError(f"{path}: is not a Haar cascade")
    return cascade


def _face(box: Sequence[int], hits: int, min_hits: int) -> FaceBox:
    x, y, width, height = (float(side) for side in box)
    return FaceBox(x, y, width, height, score=hits / (hits + min_hits))


def _scaled(box: FaceBox, x: float, y: float) -> FaceBox:
    return FaceBox(box.x * x, box.y * y, box.width * x, box.height * y, box.score)
