"""MediaPipe's face detection models, run by the TFLite runtime: they also find small, tilted and turned faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from fer_edge.config import DetectorConfig
from fer_edge.detectors.blazeface import BlazeFace
from fer_edge.detectors.mediapipe_files import FULL_RANGE, SHORT_RANGE, find_models
from fer_edge.detectors.tiles import tiles, whole_in
from fer_edge.errors import ConfigError, ModelError, reason
from fer_edge.geometry import clip, distinct, expand
from fer_edge.preprocess import CropCalibration
from fer_edge.types import FaceBox, Image

# Tiles, as parts of the picture's longer side: the largest face that is looked for there, since the whole picture or
# the tiles before show larger ones; the side of a tile; what neighbours share at least. The last show faces from 2.5 %.
_TILES = ((0.075, 9 / 16, 1 / 9), (0.042, 1 / 3, 1 / 12))
# Of still pictures, further tiles, as long as the network does not enlarge them, and what makes a face there.
_FINE_TILES = ((1 / 4, 1 / 16), (2 / 11, 1 / 22))
_FINE_SCORE = 0.7
# What makes a face in a scan, as in MediaPipe, and where one is expected.
_SCORE, _NEAR_SCORE = 0.6, 0.5
# The region searched around an expected face is larger than asked for by this: the network wants the surroundings.
_CONTEXT = 3.3
# Part of a still picture's sides that is added around it, for faces that fill it.
_BORDER = 0.25
# Boxes that share more than this part of the smaller are one face.
_SAME = 0.5


class MediaPipeDetector:
    """Faces by BlazeFace, with the roll of each head from its eyes.

    Whole frames and tiles are searched by the full-range model. The short-range model, which wants large faces,
    searches around known faces and finds those that fill a still picture.
    """

    credible, certain = 1.2, 1.4
    crop_calibration = CropCalibration(scale=1.16, dx=0.0, dy=-0.09)

    def __init__(self, config: DetectorConfig) -> None:
        """Open the models.

        Raises:
            MissingDependency: the models or the TFLite runtime are not installed.
            ConfigError: the configured models cannot be used.
        """
        paths = find_models(config.model)
        self._full, self._short = (_open(paths[name]) for name in (FULL_RANGE, SHORT_RANGE))
        self._min_face = config.min_face
        self._score = _SCORE if config.min_score is None else config.min_score
        self._near_score = _NEAR_SCORE if config.min_score is None else config.min_score

    def close(self) -> None:
        """Nothing is held."""

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """The whole frame, then tiles: each is one run of the full-range model."""
        return _regions(width, height, self._min_face)

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:
        """Search the picture, or one tile of it; fully searched, it is given finer tiles and a border as well."""
        height, width = image.shape[:2]
        if share is not None:
            return self._search(image, self.regions(width, height)[share], self._score)
        found = [box for region in self.regions(width, height) for box in self._search(image, region, self._score)]
        for region in _fine_tiles(width, height, self._full.side):
            found += self._search(image, region, max(self._score, _FINE_SCORE))
        return distinct(found + self._search_close_up(image), _SAME)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Search around the place by the short-range model."""
        region = clip(expand(expected, reach * _CONTEXT), image.shape[1], image.shape[0])
        if min(region.width, region.height) < 1:
            return []
        return self._short.find(image, region, self._near_score)

    def _search(self, image: Image, region: FaceBox, min_score: float) -> list[FaceBox]:
        height, width = image.shape[:2]
        found = self._full.find(image, region, min_score)
        return found if (region.width, region.height) == (width, height) else whole_in(region, found, width, height)

    def _search_close_up(self, image: Image) -> list[FaceBox]:
        """Find faces that all but fill the picture: the network wants to see some surroundings."""
        height, width = image.shape[:2]
        above, beside = int(height * _BORDER), int(width * _BORDER)
        bordered = cv2.copyMakeBorder(image, above, above, beside, beside, cv2.BORDER_REPLICATE)
        everything = FaceBox(0, 0, bordered.shape[1], bordered.shape[0])
        found = self._short.find(np.asarray(bordered, np.uint8), everything, self._near_score)
        return [replace(box, x=box.x - beside, y=box.y - above) for box in found]


@cache
def _regions(width: int, height: int, min_face: int) -> tuple[FaceBox, ...]:
    longer = max(width, height)
    parts = [
        tile
        for largest, side, overlap in _TILES
        if min_face < largest * longer
        for tile in tiles(width, height, side * longer, overlap * longer)
    ]
    return (FaceBox(0, 0, width, height), *parts)


def _fine_tiles(width: int, height: int, network_side: int) -> list[FaceBox]:
    longer = max(width, height)
    levels = [(side * longer, overlap * longer) for side, overlap in _FINE_TILES]
    return [tile for side, overlap in levels if side >= network_side for tile in tiles(width, height, side, overlap)]


def _open(path: Path) -> BlazeFace:
    try:
        return BlazeFace(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"detector.model: {path}: cannot be read ({reason(error)})") from error
    except ModelError as error:
        raise ConfigError(f"detector.model: {path}: {error}") from error
