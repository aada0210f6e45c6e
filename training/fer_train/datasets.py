"""Labelled faces from FER2013's CSV, FER+'s votes or folders of images, into memory.

Splits go by three names: train (FER2013's Training), validation (PublicTest) and test (PrivateTest).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ConfigError, DataError
from fer_edge.images import IMAGE_SUFFIXES, read_image
from fer_edge.labels import FER2013, FERPLUS8
from fer_edge.preprocess import MODEL_SIZE, resize
from fer_edge.types import Image

Split = Literal["train", "validation", "test"]
Scheme = Literal["fer2013", "ferplus7", "ferplus8"]

LABELS: dict[Scheme, tuple[str, ...]] = {"fer2013": FER2013, "ferplus7": FER2013, "ferplus8": FERPLUS8}

_USAGE: dict[Split, str] = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "Training"),
    "validation": ("validation", "val", "PublicTest", "test"),
    "test": ("test", "PrivateTest"),
}
_VOTE_COLUMNS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
    "contempt": "contempt",
}


def parse_scheme(name: str) -> Scheme:
    """Return a label scheme by name. Raises ConfigError for an unknown one."""
    for scheme in LABELS:
        if name == scheme:
            return scheme
    raise ConfigError(f"labels '{name}' are unknown. Choose {', '.join(LABELS)}")


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """A split of a data set.

    Attributes:
        images: shape (N, 48, 48), uint8, grey.
        targets: shape (N, C), float32; each row sums to one (one-hot labels or shares of votes).
        rows: shape (N,), int64; the row of the CSV (0 is the first after the header) or the file's place in order.
        scheme: whose labels.
        source: the file or folder it was read from.
        split: its name.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    scheme: Scheme
    source: Path
    split: Split

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> tuple[str, ...]:
        """The C class names, in order."""
        return LABELS[self.scheme]

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The class with the largest share, the first of equals: shape (N,)."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    @property
    def fingerprint(self) -> str:
        """sha256 over images and targets: the same data, the same fingerprint."""
        digest = hashlib.sha256(self.images.tobytes())
        digest.update(self.targets.tobytes())
        return digest.hexdigest()

    def take(self, positions: npt.NDArray[np.int64]) -> LabelledFaces:
        """A part, in the order given."""
        return replace(self, images=self.images[positions], targets=self.targets[positions], rows=self.rows[positions])


def load_dataset(data: Path, split: Split, scheme: Scheme = "fer2013") -> LabelledFaces:
    """Read one split.

    Args:
        data: FER2013's CSV, a folder that holds `fer2013.csv`, or a folder of `<split>/<class>/<image>`.
        split: which part.
        scheme: whose labels. The FER+ schemes want `fer2013new.csv` beside the CSV; `ferplus7` leaves the votes for
            contempt, unknown and not-a-face out, `ferplus8` only the last two.

    Raises:
        DataError: the data is missing or malformed; names the file, the row and the field.
    """
    if data.is_dir() and not (data / "fer2013.csv").is_file():
        if scheme != "fer2013":
            raise DataError(f"{data}: {scheme} labels need fer2013.csv and fer2013new.csv; folders carry only classes")
        faces = _read_folders(data, split)
    elif data.exists():
        faces = _read_csv(data / "fer2013.csv" if data.is_dir() else data, split, scheme)
    else:
        raise DataError(f"{data}: no such file or folder. Give FER2013's csv or a folder of images a class")
    if not len(faces):
        raise DataError(f"{faces.source}: no images in the {split} split ({_USAGE[split]})")
    return faces


def _read_csv(path: Path, split: Split, scheme: Scheme) -> LabelledFaces:
    votes_path = path.with_name("fer2013new.csv")
    votes = None if scheme == "fer2013" else _read_votes(votes_path, scheme)
    images: list[npt.NDArray[np.uint8]] = []
    targets: list[npt.NDArray[np.float32]] = []
    rows: list[int] = []
    one_hot = np.eye(len(FER2013), dtype=np.float32)
    row = -1
    for row, record in _records(path, ("emotion", "pixels", "Usage")):
        if votes is not None and row >= len(votes):
            raise DataError(f"{votes_path}: {len(votes)} rows, fewer than {path.name} has: they do not belong together")
        if record["Usage"] != _USAGE[split]:
            continue
        emotion = _integer(record["emotion"], path, row, "emotion", len(FER2013) - 1)
        target = one_hot[emotion] if votes is None else votes[row]
        if not target.any():
            continue
        images.append(_pixels(record["pixels"], path, row))
        targets.append(target)
        rows.append(row)
    if votes is not None and row + 1 != len(votes):
        raise DataError(f"{votes_path}: {len(votes)} rows, but {path.name} has {row + 1}: they do not belong together")
    return LabelledFaces(
        images=np.array(images, np.uint8).reshape(-1, MODEL_SIZE, MODEL_SIZE),
        targets=np.array(targets, np.float32).reshape(-1, len(LABELS[scheme])),
        rows=np.array(rows, np.int64),
        scheme=scheme,
        source=path,
        split=split,
    )


def _records(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row, record) of a CSV that must have these columns, all of them filled."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column '{missing[0]}'. Expected {', '.join(columns)}")
            for row, record in enumerate(reader):
                empty = [name for name in columns if record[name] is None]
                if empty:
                    raise DataError(f"{_place(path, row)}: no field '{empty[0]}'")
                yield row, record
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error


def _place(path: Path, row: int) -> str:
    """Where a record stands: its row, and its line in an editor, where the header is line 1."""
    return f"{path}: row {row} (line {row + 2})"


def _integer(text: str, path: Path, row: int, field: str, largest: int) -> int:
    if not text.strip().isdecimal() or int(text) > largest:
        raise DataError(f"{_place(path, row)}: {field} is {text[:20]!r}, expected a whole number from 0 to {largest}")
    return int(text)


def _pixels(text: str, path: Path, row: int) -> npt.NDArray[np.uint8]:
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{_place(path, row)}: pixels holds something that is not a whole number") from error
    if values.size != MODEL_SIZE**2:
        raise DataError(f"{_place(path, row)}: pixels has {values.size} values, expected {MODEL_SIZE**2}")
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{_place(path, row)}: pixels has a value outside 0 to 255")
    return values.astype(np.uint8).reshape(MODEL_SIZE, MODEL_SIZE)


def _read_votes(path: Path, scheme: Scheme) -> npt.NDArray[np.float32]:
    """Shares of votes a row, shape (N, C); all zero where no vote is left.

    As in the FER+ paper (Barsoum et al., 2016, arXiv:1608.01041), a class named by a single voter is an outlier.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing. The {scheme} labels are FER+'s votes, which lie beside fer2013.csv")
    columns = tuple(_VOTE_COLUMNS[label] for label in LABELS[scheme])
    counts = np.array(
        [[_integer(record[name], path, row, name, 10) for name in columns] for row, record in _records(path, columns)],
        np.float32,
    ).reshape(-1, len(columns))
    counts[counts <= 1] = 0
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.zeros_like(counts), where=total > 0), np.float32)


def _read_folders(root: Path, split: Split) -> LabelledFaces:
    base = root / "images" if (root / "images").is_dir() else root
    folder = next((base / name for name in _FOLDERS[split] if (base / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{base}: no folder for the {split} split. Expected {' or '.join(_FOLDERS[split])}")
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    unknown = [path.name for path in classes if path.name.lower() not in FER2013]
    if unknown:
        raise DataError(f"{folder}: unknown class folder '{unknown[0]}'. Expected {', '.join(FER2013)}")
    files = [
        (file, FER2013.index(path.name.lower()))
        for path in classes
        for file in sorted(path.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    return LabelledFaces(
        images=np.array([_read_image(file) for file, _ in files], np.uint8).reshape(-1, MODEL_SIZE, MODEL_SIZE),
        targets=np.eye(len(FER2013), dtype=np.float32)[[label for _, label in files]],
        rows=np.arange(len(files), dtype=np.int64),
        scheme="fer2013",
        source=folder,
        split=split,
    )


def _read_image(path: Path) -> Image:
    image = read_image(path, grey=True)
    if image is None:
        raise DataError(f"{path}: not a readable image. Remove it or save it again")
    return resize(image)
