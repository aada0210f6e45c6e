"""Crop the faces of your own photographs as the runtime does, into folders that training reads."""

from __future__ import annotations

import csv
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2

from fer_edge.config import DetectorConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.errors import ConfigError, DataError, reason
from fer_edge.images import read_image
from fer_edge.labels import FER2013
from fer_edge.preprocess import crop_face
from fer_edge.types import Image
from fer_train.data.datasets.folders import class_folders, files_below
from fer_train.data.datasets.listing import held_out
from fer_train.files import require_new_folder

log = logging.getLogger(__name__)

LIST_FILE = "photographs.csv"

Finding = Literal["one face", "several faces", "no face", "cannot be read", "twice"]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph and the face found in it.

    Attributes:
        path: path of the photograph.
        label: its class.
        digest: SHA-256 of the file.
        finding: what was found. Of several faces the largest is used; a second copy of a file is not used.
        face: the crop, shape (48, 48); None if there is none.
        split: the split of the face; None if there is none.
    """

    path: Path
    label: str
    digest: str
    finding: Finding
    face: Image | None = None
    split: Literal["train", "validation"] | None = None


def crop_photographs(
    photographs: Path, out: Path, validation: float, progress: Callable[[list[Path]], Iterable[Path]] = iter
) -> list[Photograph]:
    """Crop the faces of `<class>/<photograph>`, with subfolders, and write `train|validation/<class>/….png`.

    The hash of a photograph decides its split. The hash is also part of the new name, since photographs in different
    folders may have the same name. `photographs.csv` in the new folder lists the result of each photograph.

    Args:
        photographs: the folder with one folder per class.
        out: a folder that does not exist yet, or is empty.
        validation: fraction of the validation faces of each class, 0..1; at least one if the class has two.
        progress: iterates over the photographs and shows the progress.

    Raises:
        DataError: a folder has no class name, or no photograph has a face.
        ConfigError: `out` is not empty or cannot be written.
        MissingDependency: the detector's cascade is not installed.
    """
    require_new_folder(out)
    if not photographs.is_dir():
        raise DataError(f"{photographs}: no such folder. Give a folder that holds one folder of photographs per class")
    labels = {path: FER2013[label] for folder, label in class_folders(photographs) for path in files_below(folder)}
    outside = [path.name for path in files_below(photographs) if path not in labels]
    if outside:
        log.warning(
            "%s: %d files are in no class folder and are skipped, the first is %s",
            photographs,
            len(outside),
            outside[0],
        )
    if not labels:
        raise DataError(f"{photographs}: no photographs. Expected {photographs}/<class>/<photograph>.jpg")
    detector = open_detector(DetectorConfig())
    seen: set[str] = set()
    found = [_crop(path, labels[path], detector, seen) for path in progress(list(labels))]
    if not any(photograph.face is not None for photograph in found):
        raise DataError(f"{photographs}: no face in any of {len(found)} photographs")
    found = _split(found, validation)
    _write(found, out)
    return found


def _crop(path: Path, label: str, detector: Detector, seen: set[str]) -> Photograph:
    image = read_image(path)
    if image is None:
        return Photograph(path, label, "", "cannot be read")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest in seen:
        return Photograph(path, label, digest, "twice")
    seen.add(digest)
    boxes = detector.detect(image)
    if not boxes:
        return Photograph(path, label, digest, "no face")
    largest = max(boxes, key=lambda box: box.width * box.height)
    face = crop_face(image, largest, detector.crop_calibration)
    return Photograph(path, label, digest, "one face" if len(boxes) == 1 else "several faces", face)


def _split(found: list[Photograph], validation: float) -> list[Photograph]:
    """Set the split of each photograph."""
    faces = [
        (photograph.digest, FER2013.index(photograph.label)) for photograph in found if photograph.face is not None
    ]
    apart = held_out(faces, validation)
    return [
        photograph
        if photograph.face is None
        else replace(photograph, split="validation" if photograph.digest in apart else "train")
        for photograph in found
    ]


def _write(found: list[Photograph], out: Path) -> None:
    """Write a temporary folder, then move it into place."""
    aside = out.absolute().with_name(f".{out.absolute().name}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        with (aside / LIST_FILE).open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(("photograph", "class", "finding", "split"))
            for photograph in found:
                writer.writerow((photograph.path, photograph.label, photograph.finding, photograph.split or ""))
        for photograph in found:
            if photograph.face is not None:
                folder = aside / str(photograph.split) / photograph.label
                folder.mkdir(parents=True, exist_ok=True)
                png = cv2.imencode(".png", photograph.face)[1].tobytes()
                (folder / f"{photograph.path.name}.{photograph.digest[:8]}.png").write_bytes(png)
        aside.replace(out)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({reason(error)})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
