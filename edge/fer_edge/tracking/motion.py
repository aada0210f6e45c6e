"""Where a picture has changed, and when: where nothing moves, nobody has come."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.geometry import clip, expand
from fer_edge.preprocess import to_grey
from fer_edge.types import FaceBox, Image

# Columns and rows that are compared.
_CELLS = (40, 30)
# Pixels per cell and direction: averaged, most of a sensor's noise is gone.
_SAMPLES = 4
# Bounds, in grey levels, of what counts as a change of a cell: between them it is `_NOISES` times the noise.
_LEAST, _MOST = 3.0, 16.0
_NOISES = 8.0
# Cells that must have changed.
_FEW = 3
# Part of a picture in which a known face moves, in multiples of its box.
_HEAD = 2.0
# A cut changes at least this part of the cells, and the two pictures correlate by less than this. Of 13 cuts in four
# clips the most was 0.25, of 2 400 other pairs of frames the least was 0.54.
_CUT_CHANGES, _CUT_CORRELATION = 0.3, 0.4
# Standard deviation in grey levels below which a picture shows nothing to correlate: black, or a covered lens.
_BLANK = 4.0

_Cells = npt.NDArray[np.float32]


class MotionDetector:
    """Compares each frame with those before, in cells of a coarse grid."""

    def __init__(self) -> None:
        self.is_cut = False
        """Whether the latest frame shows another scene than the one before: everything has changed."""
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
            faces: what these do is no change.
        """
        self._height, self._width = image.shape[:2]
        cells = _cells(image)
        if self._reference is None:
            self._reference, self._before = cells.copy(), cells
            self._moved_at[:] = self._all_moved_at[:] = now
            return
        changed = _changed(cells - self._reference)
        self._reference[changed] = cells[changed]
        self.is_cut = bool(np.count_nonzero(changed) >= _CUT_CHANGES * changed.size) and self._is_another(cells)
        if cells.std() >= _BLANK:
            self._before = cells
        self._all_moved_at[changed] = now
        for face in faces:
            changed[self._part(clip(expand(face, _HEAD), self._width, self._height))] = False
        self._moved_at[changed] = now

    def has_moved(self, since: float, part: FaceBox | None = None, *, with_faces: bool = False) -> bool:
        """Whether something has changed after a time.

        Args:
            since: seconds.
            part: of the frame; all of it if left out.
            with_faces: whether what known faces did counts, too: one of them was lost.
        """
        moved = self._all_moved_at if with_faces else self._moved_at
        moved = moved if part is None else moved[self._part(part)]
        return bool(np.count_nonzero(moved > since) >= _FEW)

    def _is_another(self, cells: _Cells) -> bool:
        before = self._before
        if before is None or min(before.std(), cells.std()) < _BLANK:
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
    """The cells that changed by more than noise; a change of the light, which is the same everywhere, is none."""
    amount = np.abs(change - _median(change))
    return np.asarray(amount > min(max(_NOISES * _median(amount), _LEAST), _MOST))


def _median(cells: _Cells) -> float:
    """The upper median: NumPy's own takes eight times as long."""
    middle = cells.size // 2
    return float(np.partition(cells, middle, axis=None)[middle])


def _cells(image: Image) -> _Cells:
    samples = (_CELLS[0] * _SAMPLES, _CELLS[1] * _SAMPLES)
    few = np.asarray(cv2.resize(image, samples, interpolation=cv2.INTER_NEAREST), np.uint8)
    grey = to_grey(few).astype(np.float32)
    return np.asarray(cv2.resize(grey, _CELLS, interpolation=cv2.INTER_AREA), np.float32)
