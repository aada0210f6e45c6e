"""Pictures that a data set holds more than once: FER2013 has many, some of them in two splits."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces

# Correlation from which two pictures are nearly the same. On FER2013 such pairs are, by eye, nearly all the same
# photograph with another watermark, brightness or crop; below 0.95 different people are among them.
ALIKE = 0.96

_COARSE = 12
# Pictures compared with all others at once, to bound the memory.
_ROWS = 512


def duplicate_groups(images: npt.NDArray[np.uint8], *, near: bool = False) -> npt.NDArray[np.int64]:
    """Find pictures that are the same.

    Args:
        images: shape (N, 48, 48).
        near: also those that are nearly the same: at 12x12 pixels (area means) their grey levels correlate by `ALIKE`
            or more, so that brightness and contrast do not count. A picture without contrast is like no other. Twice
            as many pictures take four times as long: 4 seconds of CPU for 30 000.

    Returns:
        The group of each picture, shape (N,): the same number, the same picture.
    """
    first: dict[bytes, int] = {}
    exact = np.array([first.setdefault(image.tobytes(), index) for index, image in enumerate(images)], np.int64)
    if not near:
        return exact
    distinct = np.fromiter(first.values(), np.int64)
    pairs = _alike(images[distinct])
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(distinct), len(distinct)))
    groups = connected_components(links, directed=False)[1]
    return np.asarray(groups[np.searchsorted(distinct, exact)], np.int64)


def without_duplicates(train: LabelledFaces, of: LabelledFaces, *, near: bool = False) -> LabelledFaces:
    """Leave out the training pictures that another split holds too, so that it can judge what was learnt from the rest.

    Args:
        train: the pictures to choose from.
        of: those that must not be among them.
        near: also what is nearly the same; see `duplicate_groups`.

    Raises:
        DataError: no other is left: the two splits are the same.
    """
    groups = duplicate_groups(np.concatenate([of.images, train.images]), near=near)
    own = np.flatnonzero(~np.isin(groups[len(of) :], groups[: len(of)]))
    if not len(own):
        raise DataError(f"{train.source}: every training picture is in the {of.split} split too")
    return train.take(own)


def _alike(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Pairs of positions, shape (P, 2), of pictures that are nearly the same."""
    coarse = np.array([cv2.resize(image, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for image in images])
    levels = coarse.reshape(len(images), -1).astype(np.float32)
    levels -= levels.mean(axis=1, keepdims=True)
    levels /= np.maximum(np.linalg.norm(levels, axis=1, keepdims=True), 1e-3)
    pairs = []
    for start in range(0, len(levels), _ROWS):
        likeness = levels[start : start + _ROWS] @ levels[start:].T
        pairs.append(np.argwhere(np.triu(likeness >= ALIKE, 1)) + start)
    return np.concatenate(pairs)
