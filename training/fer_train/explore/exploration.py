"""Explore a data set: images per class, duplicates and unusual images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces, Scheme, Split, Votes, available_splits, load_dataset
from fer_train.data.datasets.ferplus import VOTES_FILE, not_faces, read_votes
from fer_train.data.duplicates import duplicate_groups

# An image whose mean grey level is below this is dark.
DARK = 20
# An image whose grey levels have a standard deviation below this is flat.
FLAT = 10
# This many of the images that are least like a face are reported.
STRANGEST = 24

# These are the image size, in pixels, and the number of principal components for that measure.
_FACE_SIDE, _FACE_COMPONENTS = 24, 40
# With fewer images, the components would describe unusual images well too.
_FACE_MINIMUM = 1000


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Duplicate images.

    Attributes:
        groups: the group of each image of all splits in order, shape (N,).
        repeated: per split, the images after the first of their group in that split.
        shared: per pair of splits, the images of the first that the second holds too.
        disagreeing: the images that have a duplicate with another label.
    """

    groups: npt.NDArray[np.int64]
    repeated: dict[Split, int]
    shared: dict[tuple[Split, Split], int]
    disagreeing: int


@dataclass(frozen=True, slots=True)
class Exploration:
    """The findings. A position is an index into the images of all splits in order.

    Attributes:
        splits: the images.
        exact: duplicates with the same pixels.
        near: near duplicates; see `duplicate_groups`.
        dark: positions of images whose mean is below `DARK`.
        flat: positions of images whose standard deviation is below `FLAT`.
        voted_out: positions of images that most FER+ votes call "not a face"; empty without FER+'s file.
        strangest: positions of the images that are least like a face, the worst first.
    """

    splits: tuple[LabelledFaces, ...]
    exact: Duplicates
    near: Duplicates
    dark: npt.NDArray[np.int64]
    flat: npt.NDArray[np.int64]
    voted_out: npt.NDArray[np.int64]
    strangest: npt.NDArray[np.int64]

    def locate(self, position: int) -> tuple[LabelledFaces, int]:
        """The split of an image, and its position there."""
        for faces in self.splits:
            if position < len(faces):
                return faces, position
            position -= len(faces)
        raise IndexError(position)


def explore(data: Path, scheme: Scheme, votes: Votes = "soft") -> Exploration:
    """Read every split and find unusual images. Raises DataError as `load_dataset` does."""
    splits = tuple(load_dataset(data, split, scheme, votes) for split in available_splits(data))
    images = np.concatenate([faces.images for faces in splits])
    levels = images.reshape(len(images), -1)
    return Exploration(
        splits=splits,
        exact=_duplicates(splits, duplicate_groups(images)),
        near=_duplicates(splits, duplicate_groups(images, near=True)),
        dark=np.flatnonzero(levels.mean(axis=1) < DARK),
        flat=np.flatnonzero(levels.std(axis=1) < FLAT),
        voted_out=_voted_out(splits),
        strangest=_least_like_a_face(images),
    )


def _duplicates(splits: Sequence[LabelledFaces], groups: npt.NDArray[np.int64]) -> Duplicates:
    ends = np.cumsum([len(faces) for faces in splits])
    parts = {faces.split: groups[end - len(faces) : end] for faces, end in zip(splits, ends, strict=True)}
    classes = np.concatenate([faces.classes for faces in splits])
    labelled = np.unique(np.stack([groups, classes], axis=1), axis=0)[:, 0]
    several = np.flatnonzero(np.bincount(labelled) > 1)
    return Duplicates(
        groups=groups,
        repeated={name: len(part) - len(np.unique(part)) for name, part in parts.items()},
        shared={(name, other): int(np.isin(parts[name], parts[other]).sum()) for name, other in permutations(parts, 2)},
        disagreeing=int(np.isin(groups, several).sum()),
    )


def _voted_out(splits: Sequence[LabelledFaces]) -> npt.NDArray[np.int64]:
    csv = splits[0].source
    path = csv.with_name(VOTES_FILE)
    if splits[0].files or not path.is_file():
        return np.zeros(0, np.int64)
    rows = np.concatenate([faces.rows for faces in splits])
    counts = read_votes(path).counts
    if rows.max() >= len(counts):
        raise DataError(f"{path}: {len(counts)} rows, fewer than {csv.name} has: they do not belong together")
    return np.flatnonzero(not_faces(counts[rows]))


def _least_like_a_face(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Positions of the images with the largest error after a principal component analysis; none if there are few.

    This is the distance from face space of Turk & Pentland, 1991 ("Face recognition using eigenfaces"): 24x24 pixels,
    each image with zero mean and unit contrast, 40 components.
    """
    if len(images) < _FACE_MINIMUM:
        return np.zeros(0, np.int64)
    small = [cv2.resize(image, (_FACE_SIDE, _FACE_SIDE), interpolation=cv2.INTER_AREA) for image in images]
    levels = np.array(small, np.float32).reshape(len(images), -1)
    levels -= levels.mean(axis=1, keepdims=True)
    levels /= np.maximum(np.linalg.norm(levels, axis=1, keepdims=True), 1e-3)
    levels -= levels.mean(axis=0)
    components = np.linalg.eigh(levels.T @ levels)[1][:, -_FACE_COMPONENTS:]
    distance = np.linalg.norm(levels - (levels @ components) @ components.T, axis=1)
    return np.argsort(-distance)[:STRANGEST]
