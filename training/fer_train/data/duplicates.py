"""Find duplicate images in a data set: FER2013 has many, some of them in two splits."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces

# From this correlation on, two images are near duplicates. On FER2013, by eye, nearly all such pairs are the same
# photograph with another watermark, brightness or crop; below 0.95 some pairs show different people.
ALIKE = 0.96
# Images are compared at this width and height, in pixels.
_COARSE = 12
# This many images are compared with all others at once, to limit the memory.
_ROWS = 512


def duplicate_groups(images: npt.NDArray[np.uint8], *, near: bool = False) -> npt.NDArray[np.int64]:
    """Find duplicate images.

    Args:
        images: shape (N, 48, 48).
        near: also find near duplicates: at 12x12 pixels (area means) their grey levels have a correlation of at least
            `ALIKE`, so that brightness and contrast do not matter. An image without contrast has no near duplicate.
            The time grows with the square of N: 4 seconds of CPU for 30 000.

    Returns:
        The group number of each image, shape (N,). Duplicates have the same number.
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
    """Remove the training images that another split holds too, so that the other split can test the model.

    Args:
        train: the training images.
        of: the other split.
        near: also remove near duplicates; see `duplicate_groups`.

    Raises:
        DataError: no image is left, since both splits hold the same images.
    """
    groups = duplicate_groups(np.concatenate([of.images, train.images]), near=near)
    own = np.flatnonzero(~np.isin(groups[len(of) :], groups[: len(of)]))
    if not len(own):
        raise DataError(f"{train.source}: every training image is in the {of.split} split too")
    return train.take(own)


def _alike(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Pairs of positions, shape (P, 2), of near duplicates."""
    coarse = np.array([cv2.resize(image, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for image in images])
    levels = coarse.reshape(len(images), -1).astype(np.float32)
    levels -= levels.mean(axis=1, keepdims=True)
    levels /= np.maximum(np.linalg.norm(levels, axis=1, keepdims=True), 1e-3)
    pairs = []
    for start in range(0, len(levels), _ROWS):
        likeness = levels[start : start + _ROWS] @ levels[start:].T
        pairs.append(np.argwhere(np.triu(likeness >= ALIKE, 1)) + start)
    return np.concatenate(pairs)
