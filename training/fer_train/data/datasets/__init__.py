"""Load labelled faces from FER2013's CSV, FER+'s votes or folders of images.

The splits are train (FER2013's Training), validation (PublicTest) and test (PrivateTest). `held-out` is a tenth of
train; `data.holdout` loads it.
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
        split: the split.
        scheme: the label set. FER+ labels need `fer2013new.csv` beside the CSV.
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
    """Read the training and the validation split, once per label set. See `load_schemes`."""
    train, validation = (list(load_schemes(data, split, schemes, votes).values()) for split in ("train", "validation"))
    return train, validation


def available_splits(data: Path) -> tuple[Split, ...]:
    """The splits that a data set has. Raises DataError if it has none or cannot be read."""
    csv = _csv_of(data)
    return splits_of_csv(csv) if csv else splits_of_folders(data)


def _csv_of(data: Path) -> Path | None:
    """Path of FER2013's CSV; None if the data are folders of images. Raises DataError if there is nothing."""
    if not data.exists():
        raise DataError(f"{data}: no such file or folder. Give FER2013's csv or a folder of images per class")
    if not data.is_dir():
        return data
    return data / "fer2013.csv" if (data / "fer2013.csv").is_file() else None


def _from_folders(data: Path, split: Split, scheme: Scheme) -> LabelledFaces:
    if scheme != "fer2013":
        raise DataError(
            f"{data}: {scheme} labels need fer2013.csv and fer2013new.csv; folders have only one class per image. "
            "Choose --labels fer2013"
        )
    return read_folders(data, split)
