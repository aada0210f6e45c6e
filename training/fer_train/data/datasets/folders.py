"""Read folders of `<split>/<class>/<image>` or `<class>/<image>`, optionally inside `images/`, as on Kaggle."""

from __future__ import annotations

import logging
from pathlib import Path

from fer_edge.errors import DataError, reason
from fer_edge.labels import FER2013
from fer_edge.picture_formats import SUFFIXES, picture_kind
from fer_train.data.datasets.class_names import CLASSES_FILE, LEFT_OUT, find_classes, has_classes_file, may_be_class
from fer_train.data.datasets.faces import LabelledFaces, Split
from fer_train.data.datasets.listing import SPLIT_NAMES, Entry, choose_split, load_entries, part

log = logging.getLogger(__name__)


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

    If there are only folders of classes, `listing.part` chooses a fifth of each class as the validation split.

    Raises:
        DataError: there is no folder for the split, or a folder in it has no class name.
    """
    folders = _split_folders(root)
    unsplit = _unsplit(root) if not folders and split != "test" else None
    folder = folders.get(split, unsplit)
    if folder is None:
        raise DataError(f"{root}: no folder for the {split} split. Expected {' or '.join(SPLIT_NAMES[split])}")
    entries = _list_images(folder, root)
    return load_entries(part(entries, split) if unsplit else entries, root, split)


def class_folders(folder: Path, root: Path | None = None) -> list[tuple[Path, int]]:
    """The class folders in a folder with the index of their class, in order.

    Args:
        folder: holds them, and no other.
        root: of the data set: its splits together tell what numbers mean. The folder itself if left out.

    Raises:
        DataError: a folder has no class name.
    """
    return [(path, FER2013.index(name)) for path, name in _named_folders(folder, root) if name != LEFT_OUT]


def _named_folders(folder: Path, root: Path | None) -> list[tuple[Path, str]]:
    """The folders in a folder with their class, or `LEFT_OUT`, in order."""
    alike = {folder, *(_split_folders(root).values() if root else ())}
    names = {path.name for one in alike for path in _folders_in(one)}
    meanings = find_classes(names, root or folder)
    return [(path, meanings[path.name]) for path in _folders_in(folder)]


def files_below(folder: Path) -> list[Path]:
    """Every file in a folder and its subfolders, in order, without hidden ones and `classes.toml`."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.name != CLASSES_FILE
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _split_folders(root: Path) -> dict[Split, Path]:
    """The folder of each split that has one, inside `images/` or else at the top."""
    for base in _bases(root):
        inside = _by_name(base)
        found = {split: choose_split(inside, split) for split in SPLIT_NAMES}
        if any(found.values()):
            return {split: inside[name] for split, name in found.items() if name}
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


def _list_images(folder: Path, root: Path) -> list[Entry]:
    """Images with their class, in order; other files are counted in a warning."""
    named = _named_folders(folder, root)
    entries = [
        Entry(file, FER2013.index(name), file.read_bytes)
        for path, name in named
        if name != LEFT_OUT
        for file in sorted(path.iterdir())
        if is_image_file(file)
    ]
    read = {entry.name for entry in entries}
    left_out = {path for path, name in named if name == LEFT_OUT}
    ignored = [file for file in files_below(folder) if file not in read and left_out.isdisjoint(file.parents)]
    if ignored:
        log.warning(
            "%s: %d files are ignored, the first is %s. Expected images as <class>/<image>",
            folder,
            len(ignored),
            ignored[0].relative_to(folder),
        )
    return entries


def is_image_file(file: Path) -> bool:
    """Whether a file is an image by its name, damaged ones too, or else by its content."""
    return file.suffix.lower() in SUFFIXES or picture_kind(file) is not None
