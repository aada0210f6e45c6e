"""OpenCV's Haar cascade (Viola & Jones, 2001): old, quick, no model to download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from fer_edge.config import DetectorConfig
from fer_edge.errors import ConfigError, MissingDependency
from fer_edge.geometry import clip, distinct, expand
from fer_edge.preprocess import Framing, to_grey
from fer_edge.types import FaceBox, Image

CASCADE = "haarcascade_frontalface_default.xml"

_DEBIAN = Path("/usr/share/opencv4/haarcascades")
_SCALE_STEP = 1.1
_SHARES = (
    ((1.0, 1.0, 1.13),),
    ((1.0, 1.13, 1.55),),
    ((1.0, 1.55, 2.0), (0.5, 1.0, 2.0), (0.25, 1.0, 2.0), (0.125, 1.0, 2.0)),
)
"""A quick scan in three shares of about equal work. Each names the scale of the picture, and the smallest and largest
face there in multiples of the smallest that is looked for. Faces twice as large are looked for in a picture half as
large: OpenCV searches windows beyond twice the cascade's own size in steps half as long, at four times the cost."""

_COARSE, _FINE = 36.0, 60.0
"""Sizes in pixels to which a known face is scaled. Most are found again at the coarse one; one that is not is looked
for at the fine one, where the cascade takes shorter steps: three times as dear."""
_EXPECTED_NEIGHBOURS = 1
"""Hits beside a hit that confirm a face which is expected there."""
_ALONE_NEIGHBOURS = 5
"""Hits beside a hit that make a face where no later frame can confirm it."""
_HALF_SURE = 5
"""Hits that make a score of one half."""
_SAME = 0.5
"""Boxes that share more than this part of the smaller are one face."""


class HaarDetector:
    """Frontal faces by Haar cascade."""

    shares = len(_SHARES)
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

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:
        """Search the whole picture, scaled to the configured width, or do one share of a quicker search.

        The quick search misses a third of the faces at a time: enough for a video, where the next scan comes soon.
        """
        grey = to_grey(image)
        if share is None:
            scale = min(self._config.scan_width / grey.shape[1], 1.0)
            sides = (self._config.min_face, max(grey.shape))
            return self._search(grey, scale, sides, max(self._config.min_neighbours, _ALONE_NEIGHBOURS))
        found = [box for part in _SHARES[share] for box in self._scan(grey, *part)]
        return distinct(found, _SAME)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Look around the expected place, at a coarse scale first, and only if nothing is there at a fine one."""
        region = clip(expand(expected, reach), image.shape[1], image.shape[0])
        left, top = int(region.x), int(region.y)
        part = image[top : int(region.y + region.height), left : int(region.x + region.width)]
        if min(part.shape[:2]) < expected.width / 2:
            return []
        grey = to_grey(part)
        growth = (reach - 1) / 3
        found = self._look(grey, expected.width, _COARSE, growth) or self._look(grey, expected.width, _FINE, growth)
        return [replace(box, x=box.x + left, y=box.y + top) for box in found]

    def close(self) -> None:
        """Nothing is held."""

    def _scan(self, grey: Image, scale: float, smallest: float, largest: float) -> list[FaceBox]:
        width = self._config.scan_width * scale
        unit = self._config.min_face
        sides = (round(unit * smallest), round(unit * largest))
        return self._search(grey, min(width / grey.shape[1], scale), sides, self._config.min_neighbours)

    def _look(self, grey: Image, width: float, scaled_width: float, growth: float) -> list[FaceBox]:
        sides = (round(scaled_width * (1 - growth)), round(scaled_width * (1 + growth)))
        return self._search(grey, scaled_width / width, sides, _EXPECTED_NEIGHBOURS)

    def _search(self, grey: Image, scale: float, sides: tuple[int, int], neighbours: int) -> list[FaceBox]:
        """Boxes in pixels of `grey`; `sides` are those of the smallest and largest face once it is scaled."""
        size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
        if min(size) < sides[0]:
            return []
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.equalizeHist(cv2.resize(grey, size, interpolation=method))
        smallest, largest = ((side, side) for side in sides)
        boxes, hits = self._cascade.detectMultiScale2(small, _SCALE_STEP, neighbours, minSize=smallest, maxSize=largest)
        x, y = grey.shape[1] / size[0], grey.shape[0] / size[1]
        return [_face(box, int(count), (x, y)) for box, count in zip(boxes, hits, strict=True)]


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


def _face(box: Sequence[int], hits: int, scale: tuple[float, float]) -> FaceBox:
    x, y, width, height = box
    return FaceBox(x * scale[0], y * scale[1], width * scale[0], height * scale[1], score=hits / (hits + _HALF_SURE))
