"""Whether a picture has changed: where nothing moves, nobody has come."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.geometry import clip, expand
from fer_edge.preprocess import to_grey
from fer_edge.types import FaceBox, Image

# Columns and rows that are compared. A face of the smallest size that is looked for covers nine cells.
_CELLS = (40, 30)
# Pixels a cell and direction: averaged, most of a sensor's noise is gone.
_SAMPLES = 4
# Bounds, in grey levels, of what counts as a change of a cell: between them it is `_NOISES` times the noise.
_LEAST, _MOST = 3.0, 16.0
_NOISES = 8.0
# Cells that must have changed.
_FEW = 3
# Part of a picture in which a known face moves, in multiples of its box.
_HEAD = 2.0


class MotionDetector:
    """A picture to which others are compared, coarsely."""

    def __init__(self) -> None:
        self._cells: npt.NDArray[np.float32] | None = None

    def remember(self, image: Image) -> None:
        """Compare with this picture from now on: shape (H, W, 3), BGR, or grey."""
        self._cells = _cells(image)

    def is_still(self, image: Image, faces: Iterable[FaceBox]) -> bool:
        """Whether nothing but the faces given has changed since; a change of the light is none."""
        if self._cells is None:
            return False
        change = _cells(image) - self._cells
        change = np.abs(change - np.median(change))
        noise = float(np.median(change))
        changed = change > min(max(_NOISES * noise, _LEAST), _MOST)
        columns, rows = image.shape[1] / _CELLS[0], image.shape[0] / _CELLS[1]
        for face in faces:
            head = clip(expand(face, _HEAD), image.shape[1], image.shape[0])
            top, left = int(head.y / rows), int(head.x / columns)
            if head.width and head.height:
                changed[
                    top : int((head.y + head.height) / rows) + 1, left : int((head.x + head.width) / columns) + 1
                ] = 0
        return bool(np.count_nonzero(changed) < _FEW)


def _cells(image: Image) -> npt.NDArray[np.float32]:
    samples = (_CELLS[0] * _SAMPLES, _CELLS[1] * _SAMPLES)
    few = np.asarray(cv2.resize(image, samples, interpolation=cv2.INTER_NEAREST), np.uint8)
    grey = to_grey(few).astype(np.float32)
    return np.asarray(cv2.resize(grey, _CELLS, interpolation=cv2.INTER_AREA), np.float32)
