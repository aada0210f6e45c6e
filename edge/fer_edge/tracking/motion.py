"""Detect where and when the frames change: where nothing moves, no new face can appear."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.geometry import clip, expand
from fer_edge.preprocess import to_grey
from fer_edge.types import FaceBox, Image

# Frames are compared on a grid of this many columns and rows.
_CELLS = (40, 30)
# Each cell is the mean of this many pixels in each direction, which removes most of a sensor's noise.
_SAMPLES = 4
# A cell has changed if its grey level differs by `_NOISES` times the noise, within these two bounds.
_LEAST, _MOST = 3.0, 16.0
_NOISES = 8.0
# Motion means that at least this many cells have changed.
_FEW = 3
# A tracked face may move within a region of this size, in multiples of its box.
_HEAD = 2.0
# A cut changes at least this fraction of the cells, and the two frames have a lower correlation than this. The highest
# correlation of 13 cuts in four clips was 0.25, the lowest of 2 400 other pairs of frames 0.54.
_CUT_CHANGES, _CUT_CORRELATION = 0.3, 0.4
# A frame with a smaller standard deviation of grey levels has no content to correlate: it is black, or the lens is
# covered.
_BLANK = 4.0

_Cells = npt.NDArray[np.float32]


class MotionDetector:
    """Compares each frame with earlier ones, on a coarse grid."""

    def __init__(self) -> None:
        # Whether the latest frame shows another scene than the previous one.
        self.is_cut = False
        self._reference: _Cells | None = None
        self._before: _Cells | None = None
        self._moved_at: npt.NDArray[np.float64] = np.zeros(_CELLS[::-1])
        # The same, with what known faces do.
        self._all_moved_at: npt.NDArray[np.float64] = np.zeros(_CELLS[::-1])

    def update(self, image: Image, now: float, faces: Iterable[FaceBox] = ()) -> None:
        """Take the next frame.

        Args:
            image: shape (H, W, 3), BGR, or grey.
            now: seconds.
            faces: changes inside these boxes do not count.
        """
        self._height, self._width = image.shape[:2]
        cells = _cells(image)
        if self._reference is None:
            self._reference, self._before = cells.copy(), cells
            self._moved_at[:] = self._all_moved_at[:] = now
            return
        changed = _changed(cells - self._reference)
        count = np.count_nonzero(changed)
        self.is_cut = bool(count >= _CUT_CHANGES * changed.size) and self._is_another(cells)
        if _contrast(cells) >= _BLANK:
            self._before = cells
        if not count:
            return
        np.copyto(self._reference, cells, where=changed)
        self._all_moved_at[changed] = now
        for face in faces:
            changed[self._part(clip(expand(face, _HEAD), self._width, self._height))] = False
        self._moved_at[changed] = now

    def has_moved(self, since: float, part: FaceBox | None = None, *, with_faces: bool = False) -> bool:
        """Whether something has changed since a time.

        Args:
            since: seconds.
            part: a part of the frame; None for the whole frame.
            with_faces: whether changes inside the tracked faces count too, as after one was lost.
        """
        moved = self._all_moved_at if with_faces else self._moved_at
        moved = moved if part is None else moved[self._part(part)]
        return bool(np.count_nonzero(moved > since) >= _FEW)

    def _is_another(self, cells: _Cells) -> bool:
        before = self._before
        if before is None or min(_contrast(before), _contrast(cells)) < _BLANK:
            return False
        product = (before - before.mean()) * (cells - cells.mean())
        return bool(product.mean() < _CUT_CORRELATION * before.std() * cells.std())

    def _part(self, box: FaceBox) -> tuple[slice, slice]:
        if not (box.width and box.height):
            return slice(0), slice(0)
        columns, rows = self._width / _CELLS[0], self._height / _CELLS[1]
        bottom, right = int((box.y + box.height) / rows) + 1, int((box.x + box.width) / columns) + 1
        return slice(int(box.y / rows), bottom), slice(int(box.x / columns), right)


def _changed(change: _Cells) -> npt.NDArray[np.bool_]:
    """The cells that changed by more than noise. A change of the light, which is equal in all cells, does not count."""
    amount = np.abs(change - _median(change))
    return np.asarray(amount > min(max(_NOISES * _median(amount), _LEAST), _MOST))


def _contrast(cells: _Cells) -> float:
    """Standard deviation."""
    return float(cv2.meanStdDev(cells)[1][0, 0])


def _median(cells: _Cells) -> float:
    """The upper median of every second cell of every second row."""
    few = cells[::2, ::2]
    middle = few.size // 2
    return float(np.partition(few, middle, axis=None)[middle])


def _cells(image: Image) -> _Cells:
    samples = (_CELLS[0] * _SAMPLES, _CELLS[1] * _SAMPLES)
    few = np.asarray(cv2.resize(image, samples, interpolation=cv2.INTER_NEAREST), np.uint8)
    return np.asarray(cv2.resize(to_grey(few), _CELLS, interpolation=cv2.INTER_AREA), np.float32)
