"""OpenCV's Haar cascade (Viola & Jones, 2001): old, quick, no model to download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fer_edge.config import DetectorConfig
from fer_edge.errors import ConfigError, MissingDependency
from fer_edge.geometry import clip, distinct, expand
from fer_edge.preprocess import CropCalibration, scaled, to_grey
from fer_edge.types import FaceBox, Image

# Looks at known faces and searches still pictures.
CASCADE = "haarcascade_frontalface_default.xml"
# Scans videos: its first stages cost half as much, and what both cascades take for a face seldom is none.
QUICK_CASCADE = "haarcascade_frontalface_alt2.xml"

_DEBIAN = Path("/usr/share/opencv4/haarcascades")
_SCALE_STEP = 1.1
# From one size to the next in a quick scan: half as dear as `_SCALE_STEP`, and it finds as many faces where a single
# hit is enough.
_QUICK_STEP = 2 ** (1 / 3)
_SMALLEST, _LARGEST = 24, 36
# A quick scan in three shares. Each names the scale of a picture in which the smallest face looked for has `_SMALLEST`
# pixels, and the sizes that are searched there: those of 25 and 32 pixels, and in a picture half as large, for larger
# faces, those of 20, 25 and 32. OpenCV searches windows beyond twice the cascade's own size, 20 pixels, in steps half
# as long, at four times the cost.
_SHARES = (
    ((1.0, _SMALLEST, 28),),
    ((1.0, 28, _LARGEST),),
    ((0.5, 20, _LARGEST), (0.25, 20, _LARGEST), (0.125, 20, _LARGEST)),
)
_DARK, _BRIGHTEST = 7.0, 224
# Grey levels by their logarithm, all but linear below `_DARK`, for quick scans: a face keeps its contrast in the dark.
# OpenCV passes over windows whose levels differ by less than 10, so that the highest level decides what is worth its
# search: up to 255 it found no more faces, and twice as much else. A levelled histogram is three times as dear.
_BY_RATIO = np.rint(_BRIGHTEST * np.log1p(np.arange(256) / _DARK) / np.log1p(255 / _DARK)).astype(np.uint8)

# Sizes in pixels to which a known face is scaled. Most are found again at the coarse one; one that is not is looked for
# at the fine one, where the cascade takes shorter steps: three times as dear.
_COARSE, _FINE = 36.0, 60.0
# The region searched at the fine scale at the most, in multiples of the box.
_NEAR = 1.4
# Hits beside a hit that confirm a face which is expected there.
_EXPECTED_NEIGHBOURS = 1
# Hits beside a hit that make a face where no later frame can confirm it.
_ALONE_NEIGHBOURS = 5
# Hits that make a score of one half.
_HALF_SURE = 5
# How far hits on one face may differ, as a part of their size: OpenCV's own measure.
_GROUP_SPREAD = 0.2
# Boxes that share more than this part of the smaller are one face.
_SAME = 0.5


class HaarDetector:
    """Frontal faces by Haar cascade."""

    # Medians over the PublicTest faces that the cascade finds: its box is all but FER2013's own crop.
    framing = CropCalibration(scale=1.03, dx=0.0, dy=0.01)

    # What faces and other things scored: docs/performance.md.
    credible, certain = 0.55, 0.9

    def __init__(self, config: DetectorConfig) -> None:
        """Load the cascade.

        Raises:
            MissingDependency: this OpenCV has no cascades.
            ConfigError: the configured cascade file cannot be used.
        """
        self._config = config
        self._cascade = _load(find_cascade(config.cascade))
        self._quick_cascade = _load(find_cascade(config.cascade, QUICK_CASCADE))

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """Each share searches the whole frame, for faces of other sizes."""
        return (FaceBox(0, 0, width, height),) * len(_SHARES)

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:
        """Search the whole picture, scaled to the configured width, or do one share of a quicker search.

        The quick search misses a third of the faces at a time: enough for a video, where the next scan comes soon.
        """
        grey = to_grey(image)
        scale = min(self._config.scan_width / grey.shape[1], 1.0)
        if share is None:
            sides = (self._config.min_face, max(grey.shape))
            return self._search(grey, scale, sides, max(self._config.min_neighbours, _ALONE_NEIGHBOURS))
        scale *= _SMALLEST / self._config.min_face
        found = [box for part, *sides in _SHARES[share] for box in self._scan(grey, scale * part, sides)]
        return distinct(found, _SAME)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Look around the expected place, at a coarse scale first; only if nothing is there, nearer at a fine one."""
        return self._look(image, expected, reach, _COARSE) or self._look(image, expected, min(reach, _NEAR), _FINE)

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, image: Image, expected: FaceBox, reach: float, scaled_width: float) -> list[FaceBox]:
        region = clip(expand(expected, reach), image.shape[1], image.shape[0])
        left, top = int(region.x), int(region.y)
        part = image[top : int(region.y + region.height), left : int(region.x + region.width)]
        if min(part.shape[:2]) < expected.width / 2:
            return []
        growth = (reach - 1) / 3
        sides = (scaled_width * (1 - growth), scaled_width * (1 + growth))
        found = self._search(to_grey(part), scaled_width / expected.width, sides, _EXPECTED_NEIGHBOURS)
        return [replace(box, x=box.x + left, y=box.y + top) for box in found]

    def _scan(self, grey: Image, scale: float, sides: Sequence[float]) -> list[FaceBox]:
        lit = np.asarray(cv2.LUT(scaled(grey, scale), _BY_RATIO), np.uint8)
        return _hits(self._quick_cascade, lit, sides, self._config.min_neighbours, grey, _QUICK_STEP)

    def _search(self, grey: Image, scale: float, sides: Sequence[float], neighbours: int) -> list[FaceBox]:
        level = np.asarray(cv2.equalizeHist(scaled(grey, scale)), np.uint8)
        return _hits(self._cascade, level, sides, neighbours, grey)


def find_cascade(configured: Path | None = None, name: str = CASCADE) -> Path:
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
        if folder and (Path(folder) / name).is_file():
            return Path(folder) / name
    raise MissingDependency(f"{name} is not installed. Mend: sudo apt install opencv-data")


def _load(path: Path) -> cv2.CascadeClassifier:
    try:
        cascade = cv2.CascadeClassifier(str(path))
    except (cv2.error, SystemError) as error:
        raise ConfigError(f"{path}: is not a Haar cascade") from error
    if cascade.empty():
        raise ConfigError(f"{path}: is not a Haar cascade")
    return cascade


def _hits(
    cascade: cv2.CascadeClassifier,
    picture: Image,
    sides: Sequence[float],
    neighbours: int,
    whole: Image,
    step: float = _SCALE_STEP,
) -> list[FaceBox]:
    """Boxes in pixels of `whole`, whose scaled copy is searched; `sides` are of the smallest and largest face there."""
    smallest, largest = ((round(side), round(side)) for side in sides)
    if min(picture.shape) < smallest[0]:
        return []
    if neighbours:
        boxes, hits = cascade.detectMultiScale2(picture, step, neighbours, minSize=smallest, maxSize=largest)
    else:
        boxes, hits = _grouped(cascade.detectMultiScale(picture, step, 0, minSize=smallest, maxSize=largest))
    scale = (whole.shape[1] / picture.shape[1], whole.shape[0] / picture.shape[0])
    return [_face(box, int(count), scale) for box, count in zip(boxes, hits, strict=True)]


def _grouped(hits: Sequence[Sequence[int]]) -> tuple[Sequence[Sequence[int]], Sequence[int]]:
    """Boxes and their numbers of hits. OpenCV drops a hit without another beside it: it is given each of them twice."""
    boxes, counts = cv2.groupRectangles([*hits, *hits], 1, _GROUP_SPREAD)
    return boxes, [count // 2 for count in counts]


def _face(box: Sequence[int], hits: int, scale: tuple[float, float]) -> FaceBox:
    x, y, width, height = box
    return FaceBox(x * scale[0], y * scale[1], width * scale[0], height * scale[1], score=hits / (hits + _HALF_SURE))
