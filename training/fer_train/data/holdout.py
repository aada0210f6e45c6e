"""A tenth of the training faces, held out for every choice, so that the splits that judge a model stay out of it."""

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
# One fold for all trainings: they are compared on the same faces, and a mean of two has learnt from neither's fold.
_SEED = 0
# The fold is drawn from these labels' faces: FER+ leaves some out, and other ones in each scheme.
_ALL_FACES: Scheme = "fer2013"


def load_fold(
    data: Path, schemes: Sequence[Scheme], votes: Votes = "soft"
) -> tuple[list[LabelledFaces], list[LabelledFaces]]:
    """Read the training split in two parts: what to learn from, and a tenth of it that is held out.

    Near duplicates, which often show the same person, are all in one part. The same data always gives the same fold,
    whatever the label schemes.

    Args:
        data: as for `load_dataset`.
        schemes: the label schemes, the main one first.
        votes: as for `load_dataset`.

    Returns:
        What to learn from and what is held out, each once per scheme.

    Raises:
        DataError: the data cannot be read, or the faces are too much alike to hold some out.
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
    """Read one split, which may be the fold that is held out. See `load_dataset`."""
    return load_fold(data, [scheme], votes)[1][0] if split == "held-out" else load_dataset(data, split, scheme, votes)


def _fold(faces: LabelledFaces) -> npt.NDArray[np.bool_]:
    """Whether each face is held out, shape (N,): groups in random order, as long as they fit into the tenth."""
    groups, sizes = np.unique(duplicate_groups(faces.images, near=True), return_inverse=True, return_counts=True)[1:]
    room, chosen = max(round(len(faces) * _SHARE), 1), np.zeros(len(sizes), bool)
    for group in np.random.default_rng(_SEED).permutation(len(sizes)):
        if sizes[group] <= room:
            chosen[group] = True
            room -= int(sizes[group])
    if chosen.all() or not chosen.any():
        raise DataError(f"{faces.source}: its training faces are too few, or too much alike, to hold a tenth out")
    return np.asarray(chosen[groups], np.bool_)
