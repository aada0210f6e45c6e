"""Folders of `<split>/<class>/<image>`, with or without `images/` above, as on Kaggle."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from fer_edge.errors import DataError, reason
from fer_edge.images import IMAGE_SUFFIXES, read_image
from fer_edge.labels import FER2013
from fer_edge.preprocess import MODEL_SIZE, resize
from fer_train.datasets.faces import LabelledFaces, Split

log = logging.getLogger(__name__)

_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "Training"),
    "validation": ("validation", "val", "PublicTest", "test"),
    "test": ("test", "PrivateTest"),
}


def splits_of_folders(root: Path) -> tuple[Split, ...]:
    """The splits that have a folder of their own. Raises DataError if there are none."""
    found: dict[Path, Split] = {}
    for split in _FOLDERS:
        folder = _find_folder(root, split)
        if folder:
            found.setdefault(folder, split)
    if not found:
        raise DataError(f"{root}: neither fer2013.csv nor folders of images. Expected {root}/train/<class>/<image>")
    return tuple(found.values())


def _find_folder(root: Path, split: Split) -> Path | None:
    base = root / "images" if (root / "images").is_dir() else root
    return next((base / name for name in _FOLDERS[split] if (base / name).is_dir()), None)


def read_folders(root: Path, split: Split) -> LabelledFaces:
    """Read one split: images of any size, colour or grey. What is not readable is skipped and counted.

    Raises:
        DataError: there is no folder for the split, or a folder in it is no class.
    """
    folder = _find_folder(root, split)
    if folder is None:
        raise DataError(f"{root}: no folder for the {split} split. Expected {' or '.join(_FOLDERS[split])}")
    listing = [
        (file, label)
        for path, label in class_folders(folder)
        for file in sorted(path.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    files = tuple(file for file, _ in listing)
    images = [read_image(file, grey=True) for file in files]
    readable = np.array([image is not None for image in images], bool)
    skipped = tuple(file for file, image in zip(files, images, strict=True) if image is None)
    if skipped:
        log.warning(
            "%s: %d of %d images cannot be read and are left out, the first is %s. fer-train explore lists them",
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
        source=folder,
        split=split,
        files=files,
        skipped=skipped,
    )


def class_folders(folder: Path) -> list[tuple[Path, int]]:
    """The folders in a folder with the class that each stands for, in order. Raises DataError for one that is none."""
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)})") from error
    unknown = [path for path in found if path.name.lower() not in FER2013]
    if unknown:
        raise DataError(f"{unknown[0]}: unknown class folder '{unknown[0].name}'. Expected {', '.join(FER2013)}")
    return [(path, FER2013.index(path.name.lower())) for path in found]
