"""Finding a face again by how it looked a moment ago: far cheaper than a detector, while it looks the same."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.geometry import clip, expand
from fer_edge.preprocess import resized, to_grey
from fer_edge.types import FaceBox, Image

# Pixels to which a face's box is scaled to be compared.
_SIDE = 24.0
# Pixels of the frame, in each direction, that are enough for one of those.
_SAMPLES = 3
# Part of the box that is compared: its corners show the room behind.
_INNER = 0.8
# The region searched, in multiples of the box.
_REACH = 1.3
# Correlation from which on it is the same face, in the same pose.
_ALIKE = 0.8


class Template:
    """A face as a detector saw it."""

    def __init__(self, image: Image, box: FaceBox) -> None:
        """Remember a box of a frame, shape (H, W, 3), BGR, or grey."""
        self._box = box
        self._pixel = box.width / _SIDE
        self._grey, self._origin = self._cut(image, expand(box, _INNER))

    def find(self, image: Image, expected: FaceBox) -> FaceBox | None:
        """Return where the face is now, near `expected`, at the size it had; None where nothing looks like it."""
        region, origin = self._cut(image, expand(replace(self._box, x=expected.x, y=expected.y), _REACH))
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
        return replace(self._box, x=self._box.x + moved_x, y=self._box.y + moved_y)

    def _cut(self, image: Image, part: FaceBox) -> tuple[Image, tuple[int, int]]:
        """Whole pixels of a part of the frame, grey, scaled so that the box has `_SIDE`, and its upper left corner."""
        part = clip(part, image.shape[1], image.shape[0])
        left, top = int(part.x), int(part.y)
        columns, rows = int(part.width / self._pixel), int(part.height / self._pixel)
        step = max(int(self._pixel / _SAMPLES), 1)
        cut = image[top : top + round(rows * self._pixel) : step, left : left + round(columns * self._pixel) : step]
        if not (columns and rows and cut.size):
            return np.zeros((0, 0), np.uint8), (left, top)
        return resized(to_grey(np.ascontiguousarray(cut)), (columns, rows)), (left, top)


def _between(values: npt.NDArray[np.float32]) -> float:
    """Where a parabola through three values, the middle one the highest, has its top: -0.5 to 0.5 from the middle."""
    before, middle, after = (float(value) for value in values)
    bend = before - 2 * middle + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
