"""Labelled faces from FER2013's CSV, FER+'s votes or folders of images, into memory.

Splits go by three names: train (FER2013's Training), validation (PublicTest) and test (PrivateTest).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fer_edge.errors import DataError
from fer_train.datasets.faces import LABELS, LabelledFaces, Scheme, Split, Votes, parse_scheme, parse_votes
from fer_train.datasets.fer2013 import read_csv
from fer_train.datasets.folders import read_folders

__all__ = [
    "LABELS",
    "LabelledFaces",
    "Scheme",
    "Split",
    "Votes",
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
    """
    return load_schemes(data, split, (scheme,), votes)[scheme]


def load_schemes(
    data: Path, split: Split, schemes: Sequence[Scheme], votes: Votes = "soft"
) -> dict[Scheme, LabelledFaces]:
    """Read one split once, labelled by several schemes; each has its own rows. See `load_dataset`."""
    if not data.exists():
        raise DataError(f"{data}: no such file or folder. Give FER2013's csv or a folder of images a class")
    if is_folders(data):
        loaded = {scheme: _from_folders(data, split, scheme) for scheme in schemes}
    else:
        loaded = read_csv(data / "fer2013.csv" if data.is_dir() else data, split, schemes, votes)
    for faces in loaded.values():
        if not len(faces):
            unreadable = f": none of the {len(faces.skipped)} can be read" if faces.skipped else ""
            raise DataError(f"{faces.source}: no images in the {split} split{unreadable}")
    return loaded


def is_folders(data: Path) -> bool:
    """Whether the images lie in folders, not in FER2013's CSV."""
    return data.is_dir() and not (data / "fer2013.csv").is_file()


def _from_folders(data: Path, split: Split, scheme: Scheme) -> LabelledFaces:
    if scheme != "fer2013":
        raise DataError(f"{data}: {scheme} labels need fer2013.csv and fer2013new.csv; folders carry only classes")
    return read_folders(data, split)
