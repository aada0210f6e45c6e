"""Load labelled faces from FER2013's CSV, FER+'s votes, folders of images, lists of paths or Hugging Face tables.

The splits are train (FER2013's Training), validation (PublicTest) and test (PrivateTest). `held-out` is a tenth of
train; `data.holdout` loads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_edge.errors import ConfigError, DataError
from fer_train.data.datasets.archives import refuse_archive
from fer_train.data.datasets.faces import LABELS, LabelledFaces, Scheme, Split, Votes, parse_scheme, parse_votes
from fer_train.data.datasets.fer2013 import read_csv, splits_of_csv
from fer_train.data.datasets.folders import read_folders, splits_of_folders
from fer_train.data.datasets.hugging_face import is_hugging_face, read_tables, splits_of_tables
from fer_train.data.datasets.lists import is_list, read_list, splits_of_list

__all__ = [
    "LABELS",
    "LabelledFaces",
    "Scheme",
    "Split",
    "Votes",
    "available_splits",
    "load_both",
    "load_dataset",
    "load_schemes",
    "parse_scheme",
    "parse_votes",
]


def load_dataset(data: Path, split: Split, scheme: Scheme = "fer2013", votes: Votes = "soft") -> LabelledFaces:
    """Read one split.

    Args:
        data: FER2013's CSV, a folder that holds `fer2013.csv`, a folder of `<split>/<class>/<image>`, a CSV of
            `path,label[,split]`, or a data set of Hugging Face.
        split: the split.
        scheme: the label set. FER+ labels need `fer2013new.csv` beside the CSV; images with one class each have it in
            any label set.
        votes: how FER+'s votes become targets; see `ferplus.targets`. The FER+ paper evaluates `ferplus8` with
            `majority`.

    Raises:
        DataError: the data is missing or malformed. The message names the file, the row and the field.
        ConfigError: `votes` is given for labels that come from no votes.
    """
    return load_schemes(data, split, (scheme,), votes)[scheme]


def load_schemes(
    data: Path, split: Split, schemes: Sequence[Scheme], votes: Votes = "soft"
) -> dict[Scheme, LabelledFaces]:
    """Read one split once, with several label sets; each has its own rows. See `load_dataset`."""
    if votes != "soft" and set(schemes) == {"fer2013"}:
        raise ConfigError(f"--votes {votes}: fer2013 labels come from no votes. Choose --labels ferplus8, or ferplus7")
    kind = _kind_of(data)
    if isinstance(kind, Path):
        loaded = read_csv(kind, split, schemes, votes)
    else:
        read = kind.read(data, split)
        loaded = {scheme: _with_labels_of(scheme, read) for scheme in schemes}
    for faces in loaded.values():
        if not len(faces):
            unreadable = f": none of the {len(faces.skipped)} can be read" if faces.skipped else ""
            raise DataError(f"{faces.source}: no images in the {split} split{unreadable}")
    return loaded


def load_both(
    data: Path, schemes: Sequence[Scheme], votes: Votes = "soft"
) -> tuple[list[LabelledFaces], list[LabelledFaces]]:
    """Read the training and the validation split, once per label set. See `load_schemes`."""
    train, validation = (list(load_schemes(data, split, schemes, votes).values()) for split in ("train", "validation"))
    return train, validation


def available_splits(data: Path) -> tuple[Split, ...]:
    """The splits that a data set has. Raises DataError if it has none or cannot be read."""
    kind = _kind_of(data)
    return splits_of_csv(kind) if isinstance(kind, Path) else kind.splits(data)


class _Kind(NamedTuple):
    """A kind of data set with one class per image."""

    read: Callable[[Path, Split], LabelledFaces]
    splits: Callable[[Path], tuple[Split, ...]]


_FOLDERS = _Kind(read_folders, splits_of_folders)
_LIST = _Kind(read_list, splits_of_list)
_TABLES = _Kind(read_tables, splits_of_tables)


def _kind_of(data: Path) -> _Kind | Path:
    """How to read a data set; for FER2013's CSV its path. Raises DataError if there is nothing, or an archive."""
    if not data.exists():
        raise DataError(f"{data}: no such file or folder. Give FER2013's csv or a folder of images per class")
    if (data / "fer2013.csv").is_file():
        return data / "fer2013.csv"
    if is_hugging_face(data):
        return _TABLES
    if data.is_dir():
        return _FOLDERS
    refuse_archive(data)
    return _LIST if is_list(data) else data


def _with_labels_of(scheme: Scheme, faces: LabelledFaces) -> LabelledFaces:
    """Faces with one class each, as those of another label set: FER2013's classes are the first of each."""
    missing = len(LABELS[scheme]) - faces.targets.shape[1]
    return replace(faces, scheme=scheme, targets=np.pad(faces.targets, ((0, 0), (0, missing))))
