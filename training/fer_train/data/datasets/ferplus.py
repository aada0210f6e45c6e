"""FER+: the votes of ten people per image, and the targets that follow from them.

Source: Barsoum et al., 2016 (arXiv:1608.01041) and its reference code, `src/ferplus.py` in Microsoft's FERPlus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data.datasets.faces import LABELS, Scheme, Votes
from fer_train.data.datasets.records import place, read_records, whole_number

# This file must be beside `fer2013.csv`.
VOTES_FILE = "fer2013new.csv"

_COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
_VOTERS = 10
_ENOUGH_ROWS = 100
# This is Cohen's kappa between FER2013's labels and FER+'s plurality labels: 0.6 on the real data, 0 by chance.
_LEAST_AGREEMENT = 0.2
_OUR_NAMES = {"happiness": "happy", "sadness": "sad", "anger": "angry"}


@dataclass(frozen=True, slots=True)
class VoteTable:
    """The rows of `fer2013new.csv`, in the order of `fer2013.csv`.

    Attributes:
        path: the file.
        usages: the split of each row, by FER2013's name.
        lines: line number of each row.
        counts: votes, shape (rows, 10), float32, in the order of the file's columns.
    """

    path: Path
    usages: tuple[str, ...]
    lines: tuple[int, ...]
    counts: npt.NDArray[np.float32]


def read_votes(path: Path) -> VoteTable:
    """Read FER+'s file.

    Raises:
        DataError: it is missing or malformed. The message names the row and the field.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: missing. The ferplus7 and ferplus8 labels are FER+'s votes: put them beside fer2013.csv, or "
            "choose --labels fer2013"
        )
    usages: list[str] = []
    counts: list[list[int]] = []
    lines: list[int] = []
    for row, (line, record) in enumerate(read_records(path, ("Usage", *_COLUMNS))):
        where = place(path, row, line)
        usages.append(record["Usage"])
        lines.append(line)
        counts.append([whole_number(record[name], where, name, _VOTERS) for name in _COLUMNS])
    return VoteTable(path, tuple(usages), tuple(lines), np.array(counts, np.float32).reshape(-1, len(_COLUMNS)))


def require_same_rows(votes: VoteTable, path: Path, usages: list[str]) -> None:
    """Raise DataError unless the votes and the images have the same rows."""
    apart = "they do not belong together"
    if len(votes.usages) != len(usages):
        raise DataError(f"{votes.path}: {len(votes.usages)} rows, but {path.name} has {len(usages)}: {apart}")
    for row, (voted, pictured) in enumerate(zip(votes.usages, usages, strict=True)):
        if voted != pictured:
            where = place(votes.path, row, votes.lines[row])
            raise DataError(f"{where}: Usage is {voted!r}, but {pictured!r} in {path.name}: {apart}")


def require_agreement(votes: VoteTable, path: Path, rows: Sequence[int], emotions: Sequence[int]) -> None:
    """Raise DataError if votes and labels of the same rows do not agree, as when one of the files was sorted.

    Args:
        votes: votes of the whole data set.
        path: the file with the images.
        rows: the rows to compare; too few rows are not checked.
        emotions: FER2013's label of each row.
    """
    named = targets(votes.counts[list(rows)], "ferplus7", "soft")
    known = named.any(axis=1)
    if known.sum() < _ENOUGH_ROWS:
        return
    labels, leading = np.asarray(emotions)[known], named[known].argmax(axis=1)
    classes = np.arange(named.shape[1])[:, None]
    agreed = (labels == leading).mean()
    chance = ((labels == classes).mean(axis=1) * (leading == classes).mean(axis=1)).sum()
    if agreed - chance < _LEAST_AGREEMENT * (1 - chance):
        raise DataError(
            f"{votes.path}: the plurality label equals the label in {path.name} on only {agreed:.0%} of the images "
            f"(by chance {chance:.0%}): they do not belong together. Use both files with their rows in original order"
        )


def not_faces(counts: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether more than half of the votes are for "not a face", shape (N,), from votes of shape (N, 10)."""
    return np.asarray(counts[:, _COLUMNS.index("NF")] > counts.sum(axis=1) / 2)


def targets(counts: npt.NDArray[np.float32], scheme: Scheme, votes: Votes) -> npt.NDArray[np.float32]:
    """Turn votes into targets, shape (N, C); a row is zero if the image is dropped.

    As in the paper, a class with a single vote is an outlier and does not count. Then

    - `soft`: the fraction of the votes for each class. Votes for unknown and not-a-face, and with `ferplus7` for
      contempt, do not count. An image without a remaining vote is dropped.
    - `plurality`: the class with most votes; if several have equally many, the first in FER+'s order of columns. An
      image is dropped if that is unknown, not-a-face or no class of the label set.
    - `majority`: the class with more than half of the remaining votes, as in the paper. An image is dropped if there
      is none, or if it is unknown, not-a-face or no class of the label set.

    The paper's own soft targets (its cross-entropy mode) are stricter than `soft`: they keep the classes with most
    votes until these hold 75 % of the votes, at most three. They drop an image if unknown or not-a-face has most
    votes, or if the kept classes hold half of the votes or fewer.

    Args:
        counts: shape (N, 10), in the order of FER+'s columns.
        scheme: `ferplus7` or `ferplus8`.
        votes: one of the three ways.
    """
    names = [_OUR_NAMES.get(name, name) for name in _COLUMNS]
    columns = [names.index(label) for label in LABELS[scheme]]
    agreed = np.where(counts > 1, counts, 0)
    if votes != "soft":
        leading = agreed.argmax(axis=1)
        needed = agreed.sum(axis=1) / 2 if votes == "majority" else np.zeros(len(agreed))
        agreed = np.eye(len(_COLUMNS), dtype=np.float32)[leading] * (agreed.max(axis=1) > needed)[:, None]
    named = agreed[:, columns]
    total = named.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(named, total, out=np.zeros_like(named), where=total > 0), np.float32)
