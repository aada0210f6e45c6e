"""Appearance search: find a face by correlation with its last appearance. It is much cheaper than a detector."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.geometry import clip, expand, moved
from fer_edge.preprocess import resized, to_grey
from fer_edge.types import FaceBox, Image

# A face's box is scaled to this side in pixels for the comparison.
_SIDE = 24.0
# Each of these pixels is the mean of at most this many pixels of the frame in each direction.
_SAMPLES = 3
# This fraction of the box is compared, since its corners show the background.
_INNER = 0.8
# The searched region has this size, in multiples of the box.
_REACH = 1.3
# From this correlation on, it is the same face in the same pose.
_ALIKE = 0.8


class Template:
    """The appearance of a face when the detector last saw it."""

    def __init__(self, image: Image, box: FaceBox) -> None:
        """Store the appearance inside a box of a frame, shape (H, W, 3), BGR, or grey."""
        self._box = box
        self._pixel = box.width / _SIDE
        self._grey, self._origin = self._cut(image, expand(box, _INNER))

    def find(self, image: Image, expected: FaceBox) -> FaceBox | None:
        """Return the box of the face near `expected`, with its old size; None if nothing looks like it."""
        there = moved(self._box, expected.x - self._box.x, expected.y - self._box.y)
        region, origin = self._cut(image, expand(there, _REACH))
        if min(self._grey.shape) < _SIDE * _INNER / 2 or any(
            a <= b + 1 for a, b in zip(region.shape, self._grey.shape, strict=True)
        ):
            return None
        alike = np.asarray(cv2.matchTemplate(region, self._grey, cv2.TM_CCOEFF_NORMED), np.float32)
        _, highest, _, (column, row) = cv2.minMaxLoc(alike)
        last_row, last_column = alike.shape[0] - 1, alike.shape[1] - 1
        if highest < _ALIKE or not (0 < row < last_row and 0 < column < last_column):
            return None
        x = column + _between(alike[row, column - 1 : column + 2])
        y = row + _between(alike[row - 1 : row + 2, column])
        moved_x, moved_y = (
            corner + place * self._pixel - before
            for corner, place, before in zip(origin, (x, y), self._origin, strict=True)
        )
        return moved(self._box, moved_x, moved_y)

    def _cut(self, image: Image, part: FaceBox) -> tuple[Image, tuple[int, int]]:
        """A grey part of the frame, in whole pixels, scaled so that the box has side `_SIDE`; its top left corner."""
        part = clip(part, image.shape[1], image.shape[0])
        left, top = int(part.x), int(part.y)
        columns, rows = int(part.width / self._pixel), int(part.height / self._pixel)
        cut = image[top : top + round(rows * self._pixel), left : left + round(columns * self._pixel)]
        if not (columns and rows and cut.size):
            return np.zeros((0, 0), np.uint8), (left, top)
        step = int(self._pixel / _SAMPLES)
        if step > 1:
            few = (max(cut.shape[1] // step, 1), max(cut.shape[0] // step, 1))
            cut = np.asarray(cv2.resize(cut, few, interpolation=cv2.INTER_NEAREST), np.uint8)
        return resized(to_grey(cut), (columns, rows)), (left, top)


def _between(values: npt.NDArray[np.float32]) -> float:
    """Position of the maximum of a parabola through three values, -0.5 to 0.5 from the middle one, the largest."""
    before, middle, after = (float(value) for value in values)
    bend = before - 2 * middle + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
