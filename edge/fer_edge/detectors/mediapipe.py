"""MediaPipe's face detection models on the TFLite runtime. They also find small, tilted and turned faces."""

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
from fer_edge.geometry import best_at, clip, distinct, expand
from fer_edge.preprocess import CropCalibration
from fer_edge.types import FaceBox, Image

# Each kind of tile has three fractions of the image's longer side: the largest face to search there (larger ones are
# found in the whole image or in larger tiles), the side, and the smallest overlap. The last kind shows faces from
# 2.5 %.
_TILES = ((0.075, 9 / 16, 1 / 9), (0.042, 1 / 3, 1 / 12))
# Still images have further tiles, unless the network would enlarge them. Faces there need this score.
_FINE_TILES = ((1 / 4, 1 / 16), (2 / 11, 1 / 22))
_FINE_SCORE = 0.7
# A face needs the first score in a scan, as in MediaPipe, and the second where a face is expected.
_SCORE, _NEAR_SCORE = 0.6, 0.5
# The region search that confirms a new face covers this multiple of its box.
_CONFIRM_REACH = 1.5
# A new face needs this sum of the scores of a scan and a region search.
_CREDIBLE = 1.2
# A region search covers this many times the requested region, since the network needs the surroundings.
_CONTEXT = 3.3
# A still image gets a border of this fraction of its sides, for faces that fill it.
_BORDER = 0.25
# Boxes are one face if they overlap by more than this fraction of the smaller one.
_SAME = 0.5


class MediaPipeDetector:
    """Finds faces with BlazeFace, with the roll of each head from its eyes.

    The full-range model searches whole frames and tiles. The short-range model, which needs large faces, does the
    region searches and finds faces that fill a still image.
    """

    certain = 1.4
    variants = 1
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
        """Do nothing: it holds no resources."""

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """The whole frame, then tiles: each is one run of the full-range model."""
        return _regions(width, height, self._min_face)

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:
        """Search the image fully, with finer tiles and a border, or do one part of a scan."""
        height, width = image.shape[:2]
        if part is not None:
            return self._search(image, self.regions(width, height)[part], self._score)
        found = [box for region in self.regions(width, height) for box in self._search(image, region, self._score)]
        for region in _fine_tiles(width, height, self._full.side):
            found += self._search(image, region, max(self._score, _FINE_SCORE))
        return distinct(found + self._search_close_up(image), _SAME)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Search near the expected box with the short-range model."""
        region = clip(expand(expected, reach * _CONTEXT), image.shape[1], image.shape[0])
        if min(region.width, region.height) < 1:
            return []
        return self._short.find(image, region, self._near_score)

    def confirm(self, image: Image, box: FaceBox) -> FaceBox | None:
        """Do a region search where a scan found a face."""
        best = best_at(box, self.detect_near(image, box, _CONFIRM_REACH))
        return best if best and box.score + best.score >= _CREDIBLE else None

    def _search(self, image: Image, region: FaceBox, min_score: float) -> list[FaceBox]:
        height, width = image.shape[:2]
        found = self._full.find(image, region, min_score)
        return found if (region.width, region.height) == (width, height) else whole_in(region, found, width, height)

    def _search_close_up(self, image: Image) -> list[FaceBox]:
        """Find faces that nearly fill the image: the border gives the network some surroundings."""
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
