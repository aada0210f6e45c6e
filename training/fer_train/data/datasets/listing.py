"""Load listed images of any size and colour: what folders, lists of paths and tables of images have in common."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_edge.errors import DataError
from fer_edge.images import decode_image
from fer_edge.labels import FER2013
from fer_edge.preprocess import MODEL_SIZE, resize
from fer_edge.types import Image
from fer_train.data.datasets.faces import LabelledFaces, Split

log = logging.getLogger(__name__)

# These are the names of each split in other data sets; upper and lower case do not matter.
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "publictest", "test"),
    "test": ("test", "privatetest"),
}
# This fraction of each class is the validation split if the data has no splits.
_VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled image that is not read yet.

    Attributes:
        name: its file, or its place in a table, for messages.
        label: index of its class in FER2013's labels.
        content: returns the bytes of the image's file; raises OSError.
        box: left, top, right and bottom of the face in pixels; None for the whole image.
    """

    name: Path
    label: int
    content: Callable[[], bytes]
    box: tuple[int, int, int, int] | None = None


def load_entries(entries: Sequence[Entry], root: Path, split: Split) -> LabelledFaces:
    """Read images, grey and scaled to 48x48. Unreadable ones are skipped and counted.

    Args:
        entries: those of the split.
        root: the data set.
        split: the split.
    """
    images = [_read(entry) for entry in entries]
    readable = np.array([image is not None for image in images], bool)
    skipped = tuple(entry.name for entry, image in zip(entries, images, strict=True) if image is None)
    if skipped:
        log.warning(
            "%s: %d of %d images of the %s split cannot be read and are skipped, the first is %s. "
            "fer-train explore lists them",
            root,
            len(skipped),
            len(entries),
            split,
            skipped[0].relative_to(root) if skipped[0].is_relative_to(root) else skipped[0],
        )
    classes = np.array([entry.label for entry in entries], np.int64)[readable]
    return LabelledFaces(
        images=np.array([resize(image) for image in images if image is not None], np.uint8).reshape(
            -1, MODEL_SIZE, MODEL_SIZE
        ),
        targets=np.eye(len(FER2013), dtype=np.float32)[classes],
        rows=np.flatnonzero(readable).astype(np.int64),
        scheme="fer2013",
        source=root.absolute(),
        split=split,
        files=tuple(entry.name for entry in entries),
        skipped=skipped,
    )


def choose_split(names: Iterable[str], split: Split) -> str | None:
    """The name that stands for a split among those that a data set has; None if there is none."""
    given = {name.lower(): name for name in names}
    return next((given[name] for name in SPLIT_NAMES[split] if name in given), None)


def splits_among(names: Iterable[str]) -> tuple[Split, ...]:
    """The splits that names stand for, each name once."""
    names = tuple(names)
    found: dict[str, Split] = {}
    for split in SPLIT_NAMES:
        name = choose_split(names, split)
        if name is not None:
            found.setdefault(name, split)
    return tuple(found.values())


def has_no_splits(names: Iterable[str]) -> bool:
    """Whether the training part must be divided: there are no names of splits, or the only one is train."""
    return splits_among(names) in {(), ("train",)}


def divided(names: Iterable[str]) -> tuple[Split, ...]:
    """The splits that a list or a table has, after its training part was divided if it has no other."""
    return ("train", "validation") if has_no_splits(names) else splits_among(names)


def require_split(names: Iterable[str], split: Split, root: Path) -> str:
    """The name that stands for a split in a list or a table; the only one there is if `has_no_splits`.

    Raises:
        DataError: there is none.
    """
    names = tuple(names)
    chosen = choose_split(names, "train" if has_no_splits(names) and split == "validation" else split)
    if chosen is None and (splits_among(names) or split == "test"):
        raise DataError(f"{root}: no {split} split. Expected one called {' or '.join(SPLIT_NAMES[split])}")
    return chosen if chosen is not None else next(iter(names), "")


def part(entries: Sequence[Entry], split: Split) -> list[Entry]:
    """The training or the validation part of data without splits: a fifth of each class by content validates."""
    digests = [_digest(entry) for entry in entries]
    chosen = held_out(
        ((digest, entry.label) for digest, entry in zip(digests, entries, strict=True)), _VALIDATION_SHARE
    )
    return [
        entry for entry, digest in zip(entries, digests, strict=True) if (digest in chosen) == (split == "validation")
    ]


def held_out(files: Iterable[tuple[str, int]], share: float) -> set[str]:
    """Choose validation files by their content: the same files are always split in the same way under any name.

    Args:
        files: digest and class of each file.
        share: fraction of each class, 0..1; at least one file if the class has two.

    Returns:
        The digests of the chosen files: the smallest ones of each class.
    """
    digests: dict[int, list[str]] = {}
    for digest, label in files:
        digests.setdefault(label, []).append(digest)
    chosen: set[str] = set()
    for mine in digests.values():
        count = round(len(mine) * share)
        if share > 0 and len(mine) > 1:
            count = max(count, 1)
        chosen.update(sorted(mine)[:count])
    return chosen


def _read(entry: Entry) -> Image | None:
    try:
        image = decode_image(entry.content(), str(entry.name), grey=True)
    except OSError:
        return None
    if image is None or entry.box is None:
        return image
    left, top, right, bottom = entry.box
    face = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    return face if face.size else None


def _digest(entry: Entry) -> str:
    try:
        content = entry.content()
    except OSError:  # the file will be skipped and counted
        return ""
    return hashlib.sha256(content + (repr(entry.box).encode() if entry.box else b"")).hexdigest()
