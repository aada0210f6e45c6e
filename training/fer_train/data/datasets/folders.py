"""Read folders of `<split>/<class>/<image>` or `<class>/<image>`, optionally inside `images/`, as on Kaggle."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fer_edge.errors import DataError, reason
from fer_edge.images import read_image
from fer_edge.labels import FER2013
from fer_edge.picture_formats import SUFFIXES, picture_kind
from fer_edge.preprocess import MODEL_SIZE, resize
from fer_train.data.datasets.class_names import CLASSES_FILE, LEFT_OUT, find_classes, has_classes_file, may_be_class
from fer_train.data.datasets.faces import LabelledFaces, Split

log = logging.getLogger(__name__)

# These are the folder names of each split; upper and lower case do not matter.
_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "publictest", "test"),
    "test": ("test", "privatetest"),
}

# This fraction of each class is the validation split if there are no folders for splits.
_VALIDATION_SHARE = 0.2


def splits_of_folders(root: Path) -> tuple[Split, ...]:
    """The splits that have a folder, or that can be made. Raises DataError if there are none."""
    found: dict[Path, Split] = {}
    for split, folder in _split_folders(root).items():
        found.setdefault(folder, split)
    if found:
        return tuple(found.values())
    if _unsplit(root):
        return ("train", "validation")
    raise DataError(
        f"{root}: neither fer2013.csv nor folders of images. "
        f"Expected {root}/train/<class>/<image>, or {root}/<class>/<image>, where a class is {', '.join(FER2013)}"
    )


def read_folders(root: Path, split: Split) -> LabelledFaces:
    """Read one split: images of any size, colour or grey. Unreadable files are skipped and counted.

    If there are only folders of classes, `held_out` chooses a fifth of each class as the validation split.

    Raises:
        DataError: there is no folder for the split, or a folder in it has no class name.
    """
    folders = _split_folders(root)
    unsplit = _unsplit(root) if not folders and split != "test" else None
    folder = folders.get(split, unsplit)
    if folder is None:
        raise DataError(f"{root}: no folder for the {split} split. Expected {' or '.join(_FOLDERS[split])}")
    listing = _list_images(folder, root)
    if unsplit:
        listing = _part(listing, split)
    files = tuple(file for file, _ in listing)
    images = [read_image(file, grey=True) for file in files]
    readable = np.array([image is not None for image in images], bool)
    skipped = tuple(file for file, image in zip(files, images, strict=True) if image is None)
    if skipped:
        log.warning(
            "%s: %d of %d images cannot be read and are skipped, the first is %s. fer-train explore lists them",
            folder,
            len(skipped),
            len(files),
            skipped[0].relative_to(folder),
        )
    classes = np.array([label for _, label in listing], np.int64)[readable]
    return LabelledFaces(
        images=np.array([resize(image) for image in images if image is not None], np.uint8).reshape(
            -1, MODEL_SIZE, MODEL_SIZE
        ),
        targets=np.eye(len(FER2013), dtype=np.float32)[classes],
        rows=np.flatnonzero(readable).astype(np.int64),
        scheme="fer2013",
        source=root.absolute(),
        split=split,
        files=files,
        skipped=skipped,
    )


def class_folders(folder: Path, root: Path | None = None) -> list[tuple[Path, int]]:
    """The class folders in a folder with the index of their class, in order.

    Args:
        folder: holds them, and no other.
        root: of the data set: its splits together tell what numbers mean. The folder itself if left out.

    Raises:
        DataError: a folder has no class name.
    """
    alike = {folder, *(_split_folders(root).values() if root else ())}
    names = {path.name for one in alike for path in _folders_in(one)}
    meanings = find_classes(names, root or folder)
    found = ((path, meanings[path.name]) for path in _folders_in(folder))
    return [(path, FER2013.index(name)) for path, name in found if name != LEFT_OUT]


def files_below(folder: Path) -> list[Path]:
    """Every file in a folder and its subfolders, in order, without hidden ones and `classes.toml`."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.name != CLASSES_FILE
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
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


def _split_folders(root: Path) -> dict[Split, Path]:
    """The folder of each split that has one, inside `images/` or else at the top."""
    for base in _bases(root):
        inside = _by_name(base)
        found = {
            split: next(inside[name] for name in names if name in inside)
            for split, names in _FOLDERS.items()
            if any(name in inside for name in names)
        }
        if found:
            return found
    return {}


def _unsplit(root: Path) -> Path | None:
    """The folder that directly holds class folders."""
    return next((base for base in _bases(root) if _holds_classes(base, root)), None)


def _holds_classes(folder: Path, root: Path) -> bool:
    names = _by_name(folder)
    return any(map(may_be_class, names)) or bool(names and has_classes_file(root))


def _bases(root: Path) -> list[Path]:
    images = _by_name(root).get("images")
    return [images, root] if images else [root]


def _by_name(folder: Path) -> dict[str, Path]:
    """Subfolders by their name in lower case."""
    return {path.name.lower(): path for path in _folders_in(folder)}


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)})") from error


def _list_images(folder: Path, root: Path) -> list[tuple[Path, int]]:
    """Images with their class, in order; other files are counted in a warning."""
    listing = [
        (file, label)
        for path, label in class_folders(folder, root)
        for file in sorted(path.iterdir())
        if is_image_file(file)
    ]
    read = {file for file, _ in listing}
    ignored = [file for file in files_below(folder) if file not in read]
    if ignored:
        log.warning(
            "%s: %d files are ignored, the first is %s. Expected images as <class>/<image>",
            folder,
            len(ignored),
            ignored[0].relative_to(folder),
        )
    return listing


def is_image_file(file: Path) -> bool:
    """Whether a file is an image by its name, damaged ones too, or else by its content."""
    return file.suffix.lower() in SUFFIXES or picture_kind(file) is not None


def _part(listing: list[tuple[Path, int]], split: Split) -> list[tuple[Path, int]]:
    digests = [_digest(file) for file, _ in listing]
    apart = held_out(((digest, label) for digest, (_, label) in zip(digests, listing, strict=True)), _VALIDATION_SHARE)
    return [
        entry for entry, digest in zip(listing, digests, strict=True) if (digest in apart) == (split == "validation")
    ]


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:  # the file will be skipped and counted
        return ""
