"""Labelled faces from FER2013's CSV, FER+'s votes or folders of images, into memory.

Splits go by name: train (FER2013's Training), validation (PublicTest) and test (PrivateTest). `held-out` is a tenth of
train; `data.holdout` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fer_edge.errors import ConfigError, DataError
from fer_train.data.datasets.faces import LABELS, LabelledFaces, Scheme, Split, Votes, parse_scheme, parse_votes
from fer_train.data.datasets.fer2013 import read_csv, splits_of_csv
from fer_train.data.datasets.folders import read_folders, splits_of_folders

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
        data: FER2013's CSV, a folder that holds `fer2013.csv`, or a folder of `<split>/<class>/<image>`.
        split: which part.
        scheme: whose labels. The FER+ schemes want `fer2013new.csv` beside the CSV.
        votes: what FER+'s votes become; `ferplus.targets` says how. Evaluation as in the FER+ paper is `ferplus8` with
            `majority`.

    Raises:
        DataError: the data is missing or malformed; names the file, the row and the field.
        ConfigError: votes are asked for where none are used.
    """
    return load_schemes(data, split, (scheme,), votes)[scheme]


def load_schemes(
    data: Path, split: Split, schemes: Sequence[Scheme], votes: Votes = "soft"
) -> dict[Scheme, LabelledFaces]:
    """Read one split once, labelled by several schemes; each has its own rows. See `load_dataset`."""
    if votes != "soft" and set(schemes) == {"fer2013"}:
        raise ConfigError(f"--votes {votes}: fer2013 labels come from no votes. Choose --labels ferplus8, or ferplus7")
    csv = _csv_of(data)
    if csv:
        loaded = read_csv(csv, split, schemes, votes)
    else:
        loaded = {scheme: _from_folders(data, split, scheme) for scheme in schemes}
    for faces in loaded.values():
        if not len(faces):
            unreadable = f": none of the {len(faces.skipped)} can be read" if faces.skipped else ""
            raise DataError(f"{faces.source}: no images in the {split} split{unreadable}")
    return loaded


def load_both(
    data: Path, schemes: Sequence[Scheme], votes: Votes = "soft"
) -> tuple[list[LabelledFaces], list[LabelledFaces]]:
    """Read what to learn from and what to watch, once for each label scheme. See `load_schemes`."""
    train, validation = (list(load_schemes(data, split, schemes, votes).values()) for split in ("train", "validation"))
    return train, validation


def available_splits(data: Path) -> tuple[Split, ...]:
    """The splits that a data set has. Raises DataError if it has none or cannot be read."""
    csv = _csv_of(data)
    return splits_of_csv(csv) if csv else splits_of_folders(data)


def _csv_of(data: Path) -> Path | None:
    """FER2013's CSV; None where the images lie in folders. Raises DataError if there is nothing at all."""
    if not data.exists():
        raise DataError(f"{data}: no such file or folder. Give FER2013's csv or a folder of images per class")
    if not data.is_dir():
        return data
    return data / "fer2013.csv" if (data / "fer2013.csv").is_file() else None


def _from_folders(data: Path, split: Split, scheme: Scheme) -> LabelledFaces:
    if scheme != "fer2013":
        raise DataError(
            f"{data}: {scheme} labels need fer2013.csv and fer2013new.csv; folders carry only classes. "
            "Choose --labels fer2013"
        )
    return read_folders(data, split)
