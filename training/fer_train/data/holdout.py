"""Hold out a tenth of the training faces for choices, so that validation and test split measure only the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces, Scheme, Split, Votes, load_dataset, load_schemes
from fer_train.data.duplicates import duplicate_groups

_SHARE = 0.1
# All trainings have the same fold: they are compared on the same faces, and an average of two was trained on none of
# them.
_SEED = 0
# The fold is drawn from the faces of this label set: each FER+ label set drops some faces.
_ALL_FACES: Scheme = "fer2013"


def load_fold(
    data: Path, schemes: Sequence[Scheme], votes: Votes = "soft"
) -> tuple[list[LabelledFaces], list[LabelledFaces]]:
    """Read the training split in two parts: faces to train on, and a tenth that is held out.

    Near duplicates, which often show the same person, are in the same part. The same data always gives the same fold
    with any label sets.

    Args:
        data: as for `load_dataset`.
        schemes: the label sets, the main one first.
        votes: as for `load_dataset`.

    Returns:
        The faces to train on and the held-out faces, each once per label set.

    Raises:
        DataError: the data cannot be read, or too few faces differ to hold some out.
    """
    parts = load_schemes(data, "train", list(dict.fromkeys([*schemes, _ALL_FACES])), votes)
    rows = parts[_ALL_FACES].rows[_fold(parts[_ALL_FACES])]
    inside = [np.isin(parts[scheme].rows, rows) for scheme in schemes]
    rest = [parts[scheme].take(np.flatnonzero(~held)) for scheme, held in zip(schemes, inside, strict=True)]
    held_out = [
        replace(parts[scheme].take(np.flatnonzero(held)), split="held-out")
        for scheme, held in zip(schemes, inside, strict=True)
    ]
    return rest, held_out


def load_split(data: Path, split: Split, scheme: Scheme, votes: Votes = "soft") -> LabelledFaces:
    """Read one split, which may be the held-out fold. See `load_dataset`."""
    return load_fold(data, [scheme], votes)[1][0] if split == "held-out" else load_dataset(data, split, scheme, votes)


def _fold(faces: LabelledFaces) -> npt.NDArray[np.bool_]:
    """Whether each face is held out, shape (N,): groups in random order, as long as they fit into a tenth."""
    groups, sizes = np.unique(duplicate_groups(faces.images, near=True), return_inverse=True, return_counts=True)[1:]
    room, chosen = max(round(len(faces) * _SHARE), 1), np.zeros(len(sizes), bool)
    for group in np.random.default_rng(_SEED).permutation(len(sizes)):
        if sizes[group] <= room:
            chosen[group] = True
            room -= int(sizes[group])
    if chosen.all() or not chosen.any():
        raise DataError(f"{faces.source}: its training faces are too few, or too similar, to hold out a tenth")
    return np.asarray(chosen[groups], np.bool_)
