"""OpenCV's Haar cascades: no download, fast, best for upright faces that look at the camera.

It uses four cascades. `alt2` scans, since its first stages are the cheapest, in turns with `default`. `alt` was trained
independently; it confirms and tracks faces. Rotated images and `profileface` are used when a tracked head tilts or
turns. `default` also searches still images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from fer_edge.config import DetectorConfig
from fer_edge.detectors.cascades import Cascade, even_light, find_cascade, hits_of, score_of
from fer_edge.detectors.region_view import RegionView
from fer_edge.geometry import best_at, distinct, overlap
from fer_edge.preprocess import CropCalibration, scaled, to_grey
from fer_edge.types import FaceBox, Image

# A scan uses this factor from one size to the next. It costs half as much as 1.1, and finds as many faces if a single
# hit is enough.
_SCAN_STEP = 2 ** (1 / 3)
_NEAR_STEP = 1.1
# These are the smallest and largest windows in one image, in pixels. For windows beyond twice the cascade's size of 20
# pixels, OpenCV halves its steps, at four times the cost. So larger faces are searched in smaller images.
_WINDOWS = (20, 36)
# This is the smallest face of a whole scan, in pixels of the scaled frame; tiles show smaller ones.
_COARSE = 24
# Tiles have this many times the resolution of whole frames. Their side and overlap are in pixels at that resolution.
_FINER, _TILE, _OVERLAP = 2.0, 200, 40
# A tracked face is scaled to this side in pixels.
_NEAR_SIDE = 36.0
# A new face is confirmed at this side, in this multiple of its box: of the faces that a scan found, this confirms 94 %,
# a region search 89 %.
_CONFIRM_SIDE, _CONFIRM_REACH = 54.0, 1.5
# A new face needs this sum of the scores of a scan and of such a search, or of a scan and a region search.
_CREDIBLE, _CREDIBLE_COARSE = 0.7, 0.45
# These are the step between two tried tilts and the largest tilt, in degrees.
_TILT, _MOST_TILT = 20.0, 60.0
# Below this score (less than four hits), a second cascade is run too.
_WEAK = 0.44
# Boxes are one face if they overlap by more than this fraction of the smaller one.
_SAME = 0.5

# Still images are scaled to this longer side in pixels and get a border of this fraction. The other two values are the
# factor from one size of face to the next, and the number of overlapping hits that make a face.
_STILL_WIDTH, _STILL_BORDER, _STILL_STEP, _STILL_NEIGHBOURS = 1280.0, 0.2, 1.1, 6


class _Variant(NamedTuple):
    """One way to do a whole scan."""

    is_default: bool = False  # the cascade: `default`, or `alt2`
    sizes_between: bool = False  # searches for the sizes between those of the other scans
    even_light: bool = True
    mirrored: bool = False


# Whole scans take turns. Of the upright, frontal faces of the development clips each finds 91 or 92 %, all three 97 %:
# benchmarks/scan_steps.py.
_VARIANTS = (_Variant(), _Variant(is_default=True, sizes_between=True, even_light=False), _Variant(mirrored=True))


class HaarDetector:
    """Finds faces with Haar cascades."""

    # These are medians over the PublicTest faces that the cascade finds: its box is nearly FER2013's own crop.
    crop_calibration = CropCalibration(scale=1.03, dx=0.0, dy=0.01)

    # Of 1 963 hits on faces 72 % had at least this sum, of 207 other hits one: benchmarks/scan_steps.py.
    certain = 0.95
    variants = len(_VARIANTS)

    def __init__(self, config: DetectorConfig) -> None:
        """Load the cascades.

        Raises:
            MissingDependency: this OpenCV has no cascades.
            ConfigError: the configured cascade file cannot be used.
        """
        self._config = config
        self._regions: dict[tuple[int, int], tuple[FaceBox, ...]] = {}
        self._scans = 0
        self._scanner = Cascade(find_cascade("haarcascade_frontalface_alt2.xml"))
        self._near = Cascade(find_cascade("haarcascade_frontalface_alt.xml", config.cascade))
        self._profile = Cascade(find_cascade("haarcascade_profileface.xml"))
        self._full = Cascade(find_cascade("haarcascade_frontalface_default.xml", config.cascade))
        self._variant = _VARIANTS[0]

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """Three parts search the whole frame, for faces of three sizes; the tiles search for small ones."""
        if (width, height) not in self._regions:
            whole = FaceBox(0, 0, width, height)
            self._regions[width, height] = (whole,) * len(_SCAN_PARTS) + tuple(self._tiles(width, height))
        return self._regions[width, height]

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:
        """Search the whole image, or do one part of a fast scan.

        A fast scan misses a third of the faces, which is enough for a video, where the next scan comes soon.
        """
        if part is None:
            return self._sure(self._search_fully(image))
        if part < len(_SCAN_PARTS):
            return self._sure(self._scan_whole(image, part))
        height, width = image.shape[:2]
        return self._sure(self._scan_tile(image, self.regions(width, height)[part]))

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Search near the expected box: with the last tilt, then with more and less tilt, then for a turned head."""
        sides = _near_sides(_NEAR_SIDE, reach)
        for roll, side_on in _poses(expected.roll):
            view = RegionView(image, expected, reach, _NEAR_SIDE, roll, mirrored=side_on > 0)
            cascade = self._profile if side_on else self._near
            found = cascade.find(view.picture, sides, _NEAR_STEP, neighbours=1) if view.picture.size else []
            if found:
                best = max(found, key=lambda box: box.score)
                best = self._second_opinion(view, best, sides) if best.score < _WEAK else best
                return self._sure([view.placed(best)])
        return []

    def confirm(self, image: Image, box: FaceBox) -> FaceBox | None:
        """Search where a scan found a face, in more detail than a region search; in doubt, also in its poses."""
        sides = _near_sides(_CONFIRM_SIDE, _CONFIRM_REACH)
        view = RegionView(image, box, _CONFIRM_REACH, _CONFIRM_SIDE)
        found = self._near.find(view.picture, sides, _NEAR_STEP, neighbours=1) if view.picture.size else []
        best = best_at(box, map(view.placed, found))
        if best is None or box.score + best.score < _CREDIBLE:
            best = best_at(box, self.detect_near(image, box, _CONFIRM_REACH))
            if best is None or box.score + best.score < _CREDIBLE_COARSE:
                return None
        return next(iter(self._sure([best])), None)

    def _sure(self, boxes: list[FaceBox]) -> list[FaceBox]:
        """The boxes with at least the configured score."""
        return [box for box in boxes if box.score >= (self._config.min_score or 0.0)]

    def _second_opinion(self, view: RegionView, box: FaceBox, sides: tuple[float, float]) -> FaceBox:
        """The same box with the mean hits of two cascades, if that is more."""
        equalised = np.asarray(cv2.equalizeHist(view.picture), np.uint8)
        others = self._full.find(equalised, sides, _NEAR_STEP, neighbours=1)
        score = max((other.score for other in others if overlap(box, other) > _SAME), default=0.0)
        return replace(box, score=max(box.score, score_of((hits_of(box.score) + hits_of(score)) / 2)))

    def close(self) -> None:
        """Do nothing: it holds no resources."""

    def _scale(self, width: int, finer: float = 1.0) -> float:
        return min(finer * self._config.scan_width / width, 1.0)

    def _smallest_coarse(self, width: int) -> float:
        """Side of the smallest face that a whole scan finds, in pixels of the frame."""
        return max(_COARSE / self._scale(width), float(self._config.min_face))

    def _scan_whole(self, image: Image, part: int) -> list[FaceBox]:
        if part == 0:
            self._variant = _VARIANTS[self._scans % len(_VARIANTS)]
            self._scans += 1
        grey = to_grey(image)
        scale = _COARSE / self._smallest_coarse(grey.shape[1])
        scale *= math.sqrt(_SCAN_STEP) if self._variant.sizes_between else 1.0
        found: list[FaceBox] = []
        for smallest, largest in _SCAN_PARTS[part]:
            found += self._scan(grey, scale, (smallest, largest), self._variant)
        return distinct((box for box in found if box.width >= self._config.min_face), _SAME)

    def _scan(self, grey: Image, scale: float, sides: tuple[float, float], variant: _Variant) -> list[FaceBox]:
        """Search for faces between two sides, in pixels of the scaled image, in as many images as necessary."""
        found: list[FaceBox] = []
        smallest, largest = sides
        while smallest >= 2 * _WINDOWS[0]:
            scale, smallest, largest = scale / 2, smallest / 2, largest / 2
        while smallest <= largest and smallest / scale <= max(grey.shape):
            picture = scaled(grey, scale)
            sizes = (smallest, min(largest, _WINDOWS[1]))
            found += [_unscaled(box, picture, grey) for box in self._hits(picture, sizes, variant)]
            scale, smallest, largest = scale / 2, _WINDOWS[0], largest / 2
        return found

    def _hits(self, picture: Image, sides: tuple[float, float], variant: _Variant) -> list[FaceBox]:
        picture = even_light(picture) if variant.even_light else picture
        picture = np.ascontiguousarray(picture[:, ::-1]) if variant.mirrored else picture
        cascade = self._full if variant.is_default else self._scanner
        boxes = cascade.find(picture, sides, _SCAN_STEP, self._config.min_neighbours)
        if variant.mirrored:
            return [replace(box, x=picture.shape[1] - box.x - box.width) for box in boxes]
        return boxes

    def _tiles(self, width: int, height: int) -> Iterable[FaceBox]:
        """Overlapping parts of the frame; none if `min_face` excludes small faces."""
        scale = self._scale(width, _FINER)
        if max(_WINDOWS[0] / scale, self._config.min_face) * _SCAN_STEP > self._smallest_coarse(width):
            return
        columns, rows = (max(math.ceil((side * scale - _OVERLAP) / (_TILE - _OVERLAP)), 1) for side in (width, height))
        overlap = _OVERLAP / scale
        tile_width, tile_height = (width - overlap) / columns + overlap, (height - overlap) / rows + overlap
        for row in range(rows):
            for column in range(columns):
                yield FaceBox(column * (tile_width - overlap), row * (tile_height - overlap), tile_width, tile_height)

    def _scan_tile(self, image: Image, tile: FaceBox) -> list[FaceBox]:
        left, top = int(tile.x), int(tile.y)
        part = to_grey(image[top : math.ceil(tile.y + tile.height), left : math.ceil(tile.x + tile.width)])
        scale = self._scale(image.shape[1], _FINER)
        smallest = max(_WINDOWS[0], self._config.min_face * scale)
        largest = self._smallest_coarse(image.shape[1]) * scale / _SCAN_STEP
        found = self._scan(part, scale, (smallest, min(largest, _WINDOWS[1])), _VARIANTS[0])
        return [replace(box, x=box.x + left, y=box.y + top) for box in distinct(found, _SAME)]

    def _search_fully(self, image: Image) -> list[FaceBox]:
        """Search a still image in detail; faces may touch its edges."""
        grey = to_grey(image)
        scale = min(_STILL_WIDTH / max(grey.shape), 1.0)
        small = scaled(grey, scale)
        above, beside = (round(side * _STILL_BORDER) for side in small.shape)
        picture = np.asarray(cv2.copyMakeBorder(small, above, above, beside, beside, cv2.BORDER_REPLICATE), np.uint8)
        sides = (max(self._config.min_face * scale, _WINDOWS[0]), float(max(small.shape)))
        found = self._full.find(picture, sides, _STILL_STEP, _STILL_NEIGHBOURS)
        placed = [replace(box, x=box.x - beside, y=box.y - above) for box in found]
        return distinct([_unscaled(box, small, grey) for box in placed], _SAME)


# Each part of a whole scan searches for faces of these sides, in pixels of the scaled frame.
_SCAN_PARTS = (((_COARSE, 28.0),), ((28.0, 36.0),), ((40.0, math.inf),))


def _near_sides(side: float, reach: float) -> tuple[float, float]:
    """Sides of the smallest and the largest face that a region search looks for: a larger region allows more change."""
    growth = (reach - 1) / 3
    return side * (1 - growth), side * (1 + growth)


def _poses(roll: float) -> Iterable[tuple[float, int]]:
    """Yield tilts in degrees, with 0 for a frontal face, or -1 or 1 for one that looks left or right."""
    yield roll, 0
    for other in (roll + _TILT, roll - _TILT):
        if abs(other) <= _MOST_TILT:
            yield other, 0
    yield 0.0, -1
    yield 0.0, 1


def _unscaled(box: FaceBox, picture: Image, whole: Image) -> FaceBox:
    """A box of a scaled copy, in pixels of the whole image."""
    x, y = whole.shape[1] / picture.shape[1], whole.shape[0] / picture.shape[0]
    return replace(box, x=box.x * x, y=box.y * y, width=box.width * x, height=box.height * y)
