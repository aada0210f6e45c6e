"""Find and run OpenCV's cascade files, and score their boxes by the number of hits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_edge.errors import ConfigError, MissingDependency
from fer_edge.types import FaceBox, Image

_DEBIAN = Path("/usr/share/opencv4/haarcascades")
# This many hits give a score of one half.
_HALF_SURE = 5
# Hits on one face may differ by this fraction of their size, as in OpenCV.
_GROUP_SPREAD = 0.2


def find_cascade(name: str, configured: Path | None = None) -> Path:
    """Return the path of a cascade: the configured one, OpenCV's own, or Debian's.

    Raises:
        MissingDependency: there is none. The message names the package.
        ConfigError: the configured file is missing.
    """
    if configured is not None:
        if not configured.is_file():
            raise ConfigError(f"detector.cascade: {configured}: no such file")
        return configured
    if not hasattr(cv2, "CascadeClassifier"):
        raise MissingDependency(
            f"OpenCV {cv2.__version__} has no Haar cascades. Fix: pip install 'opencv-python>=4.11,<5'"
        )
    own = getattr(getattr(cv2, "data", None), "haarcascades", None)
    for folder in (own, _DEBIAN):
        if folder and (Path(folder) / name).is_file():
            return Path(folder) / name
    raise MissingDependency(f"{name} is not installed. Fix: sudo apt install opencv-data")


class Cascade:
    """A boosted cascade (Viola & Jones, 2001) whose boxes have a score: hits / (hits + 5)."""

    def __init__(self, path: Path) -> None:
        """Load the file. Raises ConfigError if it is no cascade."""
        try:
            self._cascade = cv2.CascadeClassifier(str(path))
        except (cv2.error, SystemError) as error:
            raise ConfigError(f"{path}: is not a Haar cascade") from error
        if self._cascade.empty():
            raise ConfigError(f"{path}: is not a Haar cascade")

    def find(self, picture: Image, sides: tuple[float, float], step: float, neighbours: int) -> list[FaceBox]:
        """Search a grey image.

        Args:
            picture: shape (H, W), uint8.
            sides: sides of the smallest and the largest face, pixels.
            step: factor from one size to the next.
            neighbours: number of overlapping hits that make a face.

        Returns:
            Boxes in pixels of the image.
        """
        smallest, largest = ((round(side), round(side)) for side in sides)
        if min(picture.shape) < smallest[0]:
            return []
        if neighbours:
            found = self._cascade.detectMultiScale2(picture, step, neighbours, minSize=smallest, maxSize=largest)
        else:
            found = _grouped(self._cascade.detectMultiScale(picture, step, 0, minSize=smallest, maxSize=largest))
        return [
            FaceBox(float(x), float(y), float(width), float(height), score_of(float(hits)))
            for (x, y, width, height), hits in zip(*found, strict=True)
        ]


def score_of(hits: float) -> float:
    """The score of a number of hits, 0..1."""
    return hits / (hits + _HALF_SURE)


def hits_of(score: float) -> float:
    """The number of hits of a score."""
    return _HALF_SURE * score / (1 - score)


def _grouped(hits: Sequence[Sequence[int]]) -> tuple[Sequence[Sequence[int]], Sequence[int]]:
    """Boxes and their numbers of hits. OpenCV drops single hits, so it gets each hit twice."""
    boxes, counts = cv2.groupRectangles([*hits, *hits], 1, _GROUP_SPREAD)
    return boxes, [count // 2 for count in counts]


def even_light(grey: Image) -> Image:
    """Take the logarithm of grey levels, so that a face in the dark keeps its contrast."""
    return np.asarray(cv2.LUT(grey, _BY_RATIO), np.uint8)


# The curve is nearly linear below `_DARK`. OpenCV skips windows whose grey levels differ by less than 10, so the
# highest level decides what is searched: up to 255 it found no more faces, and twice as many wrong boxes. Histogram
# equalisation costs three times as much.
_DARK, _BRIGHTEST = 7.0, 224
_BY_RATIO = np.rint(_BRIGHTEST * np.log1p(np.arange(256) / _DARK) / np.log1p(255 / _DARK)).astype(np.uint8)
