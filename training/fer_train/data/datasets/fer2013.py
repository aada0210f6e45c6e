"""Read `fer2013.csv`: one face per row as 2304 grey levels, with FER2013's label or with FER+'s votes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.labels import FER2013
from fer_edge.preprocess import MODEL_SIZE
from fer_train.data.datasets.faces import LabelledFaces, Scheme, Split, Votes
from fer_train.data.datasets.ferplus import VOTES_FILE, read_votes, require_agreement, require_same_rows, targets
from fer_train.data.datasets.records import place, read_records, whole_number

_USAGE: dict[Split, str] = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
FER2013_COLUMNS = ("emotion", "pixels", "Usage")


def splits_of_csv(path: Path) -> tuple[Split, ...]:
    """The splits of a CSV that have rows. Raises DataError if there are none."""
    usages = {record["Usage"] for _, record in read_records(path, FER2013_COLUMNS)}
    found = tuple(split for split, usage in _USAGE.items() if usage in usages)
    if not found:
        raise DataError(f"{path}: no row has a Usage of {', '.join(_USAGE.values())}")
    return found


def read_csv(path: Path, split: Split, schemes: Sequence[Scheme], votes: Votes) -> dict[Scheme, LabelledFaces]:
    """Read one split once, with several label sets; each has the rows that have a label in it.

    Raises:
        DataError: the file or its votes are missing or malformed. The message names the row and the field.
    """
    table = read_votes(path.with_name(VOTES_FILE)) if any(scheme != "fer2013" for scheme in schemes) else None
    usages: list[str] = []
    lines: list[int] = []
    images: list[npt.NDArray[np.uint8]] = []
    emotions: list[int] = []
    rows: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # older NumPy only warns about pixels that are no numbers
        for row, (line, record) in enumerate(read_records(path, FER2013_COLUMNS)):
            where = place(path, row, line)
            lines.append(line)
            usages.append(_usage(record["Usage"], where))
            if record["Usage"] == _USAGE[split]:
                emotions.append(whole_number(record["emotion"], where, "emotion", len(FER2013) - 1))
                images.append(_pixels(record["pixels"], where))
                rows.append(row)
    if not rows:
        raise DataError(f"{path}: no images in the {split} split: no row has Usage '{_USAGE[split]}'")
    faces = LabelledFaces(
        images=np.array(images, np.uint8).reshape(-1, MODEL_SIZE, MODEL_SIZE),
        targets=np.eye(len(FER2013), dtype=np.float32)[emotions],
        rows=np.array(rows, np.int64),
        scheme="fer2013",
        source=path,
        split=split,
        lines=tuple(lines),
    )
    if table is None:
        return {"fer2013": faces}
    require_same_rows(table, path, usages)
    require_agreement(table, path, rows, emotions)
    return {
        scheme: faces if scheme == "fer2013" else _relabelled(faces, scheme, targets(table.counts[rows], scheme, votes))
        for scheme in schemes
    }


def _usage(text: str, where: str) -> str:
    if text not in _USAGE.values():
        raise DataError(f"{where}: Usage is {text[:20]!r}, expected {', '.join(_USAGE.values())}")
    return text


def _pixels(text: str, where: str) -> npt.NDArray[np.uint8]:
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        raise DataError(f"{where}: pixels holds something that is not a whole number") from error
    if values.size != MODEL_SIZE**2:
        raise DataError(f"{where}: pixels has {values.size} values, expected {MODEL_SIZE**2}")
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{where}: pixels has a value outside 0 to 255")
    return values.astype(np.uint8).reshape(MODEL_SIZE, MODEL_SIZE)


def _relabelled(faces: LabelledFaces, scheme: Scheme, labels: npt.NDArray[np.float32]) -> LabelledFaces:
    """The faces that have a label in another label set, with that label."""
    return replace(faces, scheme=scheme, targets=labels).take(np.flatnonzero(labels.any(axis=1)))
