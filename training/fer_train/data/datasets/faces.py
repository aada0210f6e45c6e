"""A split of labelled faces in memory, and the names of splits and label sets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ConfigError, choose
from fer_edge.labels import FER2013, FERPLUS8
from fer_train.data.datasets.records import place

Split = Literal["train", "validation", "test", "held-out"]
Scheme = Literal["fer2013", "ferplus7", "ferplus8"]
# These are the ways to turn FER+'s votes into targets; see `ferplus.targets`.
Votes = Literal["soft", "plurality", "majority"]

LABELS: dict[Scheme, tuple[str, ...]] = {"fer2013": FER2013, "ferplus7": FER2013, "ferplus8": FERPLUS8}


def parse_scheme(name: str) -> Scheme:
    """Return a label set by name. Raises ConfigError for an unknown one."""
    for scheme in LABELS:
        if name == scheme:
            return scheme
    raise ConfigError(f"labels '{name}' are unknown. {choose(name, LABELS)}")


def parse_votes(name: str) -> Votes:
    """Return a way to use FER+'s votes by name. Raises ConfigError for an unknown one."""
    for votes in get_args(Votes):
        if name == votes:
            return votes  # type: ignore[no-any-return]
    raise ConfigError(f"votes '{name}' are unknown. {choose(name, get_args(Votes))}")


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """A split of a data set.

    Attributes:
        images: shape (N, 48, 48), uint8, grey.
        targets: shape (N, C), float32; each row sums to one (one-hot labels or fractions of votes).
        rows: shape (N,), int64; the row of the CSV (0 is the first after the header) or the index of the file in
            `files`.
        scheme: the label set.
        source: the CSV, or the folder with all splits.
        split: name of the split.
        lines: line number of every row of a CSV, including those of other splits; empty for folders.
        files: every image file of a folder in order, including unreadable ones; empty for a CSV.
        skipped: the unreadable files.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    scheme: Scheme
    source: Path
    split: Split
    lines: tuple[int, ...] = ()
    files: tuple[Path, ...] = ()
    skipped: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> tuple[str, ...]:
        """The C class names, in order."""
        return LABELS[self.scheme]

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The class with the largest target, the first one if several are equal: shape (N,)."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    @property
    def support(self) -> dict[str, int]:
        """Number of faces of each class that has any."""
        counts = np.bincount(self.classes, minlength=len(self.labels))
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True) if count}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of images and targets."""
        digest = hashlib.sha256(self.images.tobytes())
        digest.update(self.targets.tobytes())
        return digest.hexdigest()

    def take(self, positions: npt.NDArray[np.int64]) -> LabelledFaces:
        """The faces at these positions, in this order."""
        return replace(self, images=self.images[positions], targets=self.targets[positions], rows=self.rows[positions])

    def place(self, position: int) -> str:
        """Where an image comes from: its file, or its row of the CSV."""
        row = int(self.rows[position])
        return str(self.files[row]) if self.files else place(self.source, row, self.lines[row])
