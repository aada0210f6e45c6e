"""What a data set holds, and what is odd about it."""

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

# Mean grey level below which a picture is called dark.
DARK = 20
# Standard deviation of the grey levels below which a picture is called flat.
FLAT = 10
# How many of the pictures that are least like a face are reported.
STRANGEST = 24

_FACE_SIDE, _FACE_COMPONENTS = 24, 40
# With fewer pictures, a component of its own describes each strange one well.
_FACE_MINIMUM = 1000


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Pictures that are there more than once.

    Attributes:
        groups: the group of each picture of all splits in order, shape (N,).
        repeated: in each split, the pictures beyond the first of a group in that split.
        shared: for two splits, the pictures of the first that the second holds too.
        disagreeing: the pictures that have a twin with another label.
    """

    groups: npt.NDArray[np.int64]
    repeated: dict[Split, int]
    shared: dict[tuple[Split, Split], int]
    disagreeing: int


@dataclass(frozen=True, slots=True)
class Exploration:
    """What was found; positions count through all splits in order.

    Attributes:
        splits: the pictures.
        exact: those with the same pixels.
        near: those that are nearly the same; see `duplicate_groups`.
        dark: positions of pictures whose mean is below `DARK`.
        flat: positions of pictures whose standard deviation is below `FLAT`.
        voted_out: positions of pictures in which most people saw no face, where FER+'s votes lie beside the CSV.
        strangest: positions of the pictures that are least like the others' faces, the strangest first.
    """

    splits: tuple[LabelledFaces, ...]
    exact: Duplicates
    near: Duplicates
    dark: npt.NDArray[np.int64]
    flat: npt.NDArray[np.int64]
    voted_out: npt.NDArray[np.int64]
    strangest: npt.NDArray[np.int64]

    def locate(self, position: int) -> tuple[LabelledFaces, int]:
        """The split that a picture is in, and its position there."""
        for faces in self.splits:
            if position < len(faces):
                return faces, position
            position -= len(faces)
        raise IndexError(position)


def explore(data: Path, scheme: Scheme, votes: Votes = "soft") -> Exploration:
    """Read every split and look for what is odd. Raises DataError as `load_dataset` does."""
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
    """Positions of the pictures that the principal components of all of them describe worst; none if they are few.

    This is the distance from face space of Turk & Pentland, 1991 ("Face recognition using eigenfaces"): 24x24 pixels,
    each picture with zero mean and unit contrast, 40 components.
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
