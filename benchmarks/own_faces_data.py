"""Make a stand-in for somebody's own photographs, for benchmarks/own_faces.py.

    python -m benchmarks.own_faces_data --data DATA --out photos.npz
    python -m benchmarks.own_faces_data --data DATA --out photos.npz --folders FOLDER

PublicTest as one bad camera would show it: small, dark, noisy, blurred, tilted; found again by the detector and cropped
as on the device. The shipped models were not trained on these faces. About five minutes. With --folders, also
FOLDER/photographs with 15 photographs per class of one half, for the commands of the README, and FOLDER/held with the
crops of the other half, to evaluate on.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer

from fer_edge.config import DetectorConfig
from fer_edge.detectors import open_detector
from fer_edge.preprocess import crop_face
from fer_edge.types import Image
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.data.duplicates import duplicate_groups

# Photographs per class, with --folders.
PER_CLASS = 15


def main(
    data: Annotated[Path, typer.Option(envvar="FER_DATA")],
    out: Annotated[Path, typer.Option()],
    folders: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Write images (N, 48, 48), classes, groups of near duplicates, and rows of the CSV."""
    faces = load_dataset(data, "validation", "ferplus7")
    groups = duplicate_groups(faces.images, near=True)
    detector, rng = open_detector(DetectorConfig()), np.random.default_rng(0)
    crops, kept, images = [], [], []
    for position, face in enumerate(faces.images):
        small = cv2.resize(photograph(face, rng), (200, 200), interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), np.uint8)
        boxes = detector.detect(image)
        if boxes:
            largest = max(boxes, key=lambda box: box.width * box.height)
            crops.append(crop_face(image, largest, detector.crop_calibration))
            kept.append(position)
            images.append(image)
    np.savez_compressed(
        out, images=np.array(crops), classes=faces.classes[kept], groups=groups[kept], rows=faces.rows[kept]
    )
    typer.echo(f"{out}: {len(kept)} of {len(faces)} faces were found")
    if folders:
        write_folders(folders, images, crops, faces.take(np.array(kept)), groups[kept])


def write_folders(
    folder: Path, images: list[Image], crops: list[Image], faces: LabelledFaces, groups: npt.NDArray[np.int64]
) -> None:
    """Write photographs of one half, and crops of the other; near duplicates are in one half."""
    own = np.random.default_rng(0).random(groups.max() + 1)[groups] < 0.5
    written: Counter[str] = Counter()
    for number, (image, crop, index) in enumerate(zip(images, crops, faces.classes, strict=True)):
        label = faces.labels[index]
        place = folder / "photographs" / label if own[number] else folder / "held" / "validation" / label
        written[str(place)] += 1
        if not own[number] or written[str(place)] <= PER_CLASS:
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{number}.png"), image if own[number] else crop)


def photograph(face: Image, rng: np.random.Generator) -> Image:
    """A photograph of shape (480, 480), of a face of shape (48, 48)."""
    canvas = np.full((480, 480), int(rng.integers(60, 190)), np.uint8)
    canvas[120:360, 120:360] = cv2.resize(face, (240, 240), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((480, 480), np.float32)
    cv2.rectangle(mask, (128, 128), (352, 352), 1.0, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 8), np.float32)  # the border of the face is soft
    canvas = (canvas * mask + cv2.GaussianBlur(canvas, (0, 0), 40) * (1 - mask)).astype(np.uint8)
    turn = cv2.getRotationMatrix2D((240, 240), 8 + rng.normal(0, 4), rng.uniform(0.8, 1.1))
    turned = cv2.warpAffine(canvas, turn, (480, 480), borderMode=cv2.BORDER_REPLICATE)
    dark = 255 * (turned / 255.0) ** rng.uniform(1.6, 2.4) * rng.uniform(0.5, 0.8)
    noise = cv2.resize(rng.normal(0, 10, (160, 160)).astype(np.float32), (480, 480))
    blurred = cv2.GaussianBlur(np.asarray(dark, np.float64), (0, 0), rng.uniform(3, 6)) + noise
    content = cv2.imencode(".jpg", np.clip(blurred, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


if __name__ == "__main__":
    typer.run(main)
