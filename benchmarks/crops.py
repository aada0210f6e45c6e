"""Measure what the steps from a frame to the model's input cost: crop calibration, resampling, size, blur, darkness.

    python benchmarks/crops.py DATA

Faces of FER2013's PublicTest are drawn into frames, found by a region search, cropped and classified by the shipped
model. Accuracy is by the FER+ plurality label. A face drawn larger than 48 pixels has no more detail than the data set,
so larger sizes only test the geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fer_edge.config import DetectorConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.preprocess import MODEL_SIZE, CropCalibration, crop_face
from fer_edge.types import FaceBox, Image
from fer_train.data.datasets import load_dataset, parse_scheme

# Sides of a drawn face in pixels.
SIZES = (24, 32, 40, 48, 64, 100, 150, 300)
USUAL = 100
# Differences from the detector's own crop calibration.
SCALES = (-0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12)
SHIFTS = (-0.06, -0.03, 0.0, 0.03, 0.06)
FILTERS = {
    "area down, linear up": None,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "Lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}

Corrupt = Callable[[Image], Image]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A face in a frame, grey, which is twice as wide as the face."""

    image: Image
    truth: FaceBox
    found: FaceBox | None


def main(
    data: Annotated[Path, typer.Argument(envvar="FER_DATA")],
    count: Annotated[int, typer.Option(help="Faces, the first of PublicTest.")] = 1000,
    name: Annotated[str, typer.Option("--detector", help="haar or mediapipe.")] = "haar",
    grid_only: Annotated[bool, typer.Option("--grid", help="Only the table of transforms.")] = False,
) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    faces = load_dataset(data, "validation", parse_scheme("ferplus7"))
    images = list(faces.images[:count].reshape(-1, MODEL_SIZE, MODEL_SIZE))
    classes = faces.classes[:count]
    classifier = Classifier(load_bundle(find_bundle("ferplus7")))
    detector = open_detector(DetectorConfig.model_validate({"name": name}))
    right = np.mean([_is_right(classifier, image, truth) for image, truth in zip(images, classes, strict=True)])
    Console().print(f"{len(images)} faces; the data set's own crops: {right:.1%} right")
    usual = _draw_all(detector, images, USUAL)
    report_transforms(usual, classes, classifier, detector.crop_calibration)
    if grid_only:
        return
    by_size = {side: usual if side == USUAL else _draw_all(detector, images, side) for side in SIZES}
    report_filters(by_size, classes, classifier)
    report_frames("face, pixels", {f"{side}": drawn for side, drawn in by_size.items()}, classes, classifier, detector)
    blurred = {f"{sigma:g}": _draw_all(detector, images, USUAL, _blur(sigma)) for sigma in (0, 2, 4, 6)}
    report_frames(f"blur, pixels of {USUAL}", blurred, classes, classifier, detector)
    dark = {f"1/{part}": _draw_all(detector, images, USUAL, _darken(part)) for part in (1, 2, 4, 8, 16)}
    report_frames("light", dark, classes, classifier, detector)


def report_transforms(
    drawn: Sequence[Drawn], classes: npt.NDArray[np.int64], classifier: Classifier, own: CropCalibration
) -> None:
    """Print the accuracy by the box's scale and shift."""
    table = Table(title=f"transform of the detector's box, faces of {USUAL} pixels: accuracy")
    table.add_column("scale")
    for shift in SHIFTS:
        table.add_column(f"down by {own.dy + shift:+.2f}", justify="right")
    for more in SCALES:
        crops = [CropCalibration(own.scale + more, own.dx, own.dy + shift) for shift in SHIFTS]
        cells = [_accuracy(drawn, classes, classifier, crop) for crop in crops]
        table.add_row(f"{own.scale + more:.2f}", *(f"{found:.1%}" for found, _ in cells))
    Console().print(table)
    Console().print(f"true crop of the same faces: {cells[0][1]:.1%}")


def report_filters(
    by_size: Mapping[int, Sequence[Drawn]], classes: npt.NDArray[np.int64], classifier: Classifier
) -> None:
    """Print the accuracy of the true crop by resampling filter and size."""
    table = Table(title="resampling of the true crop: accuracy")
    table.add_column("face, pixels")
    for name in FILTERS:
        table.add_column(name, justify="right")
    for side, drawn in by_size.items():
        cells = []
        for method in FILTERS.values():
            crops = [_resampled(face, method) for face in drawn]
            cells.append(
                np.mean([_is_right(classifier, crop, truth) for crop, truth in zip(crops, classes, strict=True)])
            )
        table.add_row(str(side), *(f"{cell:.1%}" for cell in cells))
    Console().print(table)


def report_frames(
    heading: str,
    groups: Mapping[str, Sequence[Drawn]],
    classes: npt.NDArray[np.int64],
    classifier: Classifier,
    detector: Detector,
) -> None:
    """Print the fraction of faces found, and the accuracy with the detected and with the true crop."""
    table = Table(title="from the frame to the label")
    for column in (heading, "found", "right, detected crop", "right, true crop of the same"):
        table.add_column(column, justify="right")
    for name, drawn in groups.items():
        found = sum(face.found is not None for face in drawn) / len(drawn)
        detected, true = _accuracy(drawn, classes, classifier, detector.crop_calibration)
        table.add_row(name, f"{found:.1%}", f"{detected:.1%}", f"{true:.1%}")
    Console().print(table)


def _draw_all(
    detector: Detector, images: Sequence[Image], side: int, corrupt: Corrupt = lambda image: image
) -> list[Drawn]:
    rng = np.random.default_rng(0)
    return [
        _draw(detector, image, side, corrupt, rng)
        for image in track(images, description=f"{side} pixels", transient=True)
    ]


def _draw(detector: Detector, image: Image, side: int, corrupt: Corrupt, rng: np.random.Generator) -> Drawn:
    """Draw a face in the middle with its border mirrored around it, and search for it near its place."""
    method = cv2.INTER_AREA if side < MODEL_SIZE else cv2.INTER_CUBIC
    face = cv2.resize(image, (side, side), interpolation=method)
    edge = side // 2
    frame = corrupt(np.asarray(cv2.copyMakeBorder(face, edge, edge, edge, edge, cv2.BORDER_REFLECT_101), np.uint8))
    x, y = edge + rng.normal(0, 0.04 * side, 2)
    width = side * rng.normal(1, 0.04)
    colour = np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8)
    found = detector.detect_near(colour, FaceBox(x, y, width, width), 1.5)
    best = max(found, key=lambda box: box.score, default=None)
    return Drawn(frame, FaceBox(edge, edge, side, side), best)


def _accuracy(
    drawn: Sequence[Drawn], classes: npt.NDArray[np.int64], classifier: Classifier, crop_calibration: CropCalibration
) -> tuple[float, float]:
    """Accuracy of the found faces, with the detected and with the true crop."""
    pairs = [(face, truth) for face, truth in zip(drawn, classes, strict=True) if face.found]
    detected = [
        _is_right(classifier, crop_face(face.image, face.found, crop_calibration), truth)
        for face, truth in pairs
        if face.found
    ]
    true = [_is_right(classifier, crop_face(face.image, face.truth, CropCalibration()), truth) for face, truth in pairs]
    return (float(np.mean(detected)), float(np.mean(true))) if pairs else (0.0, 0.0)


def _resampled(face: Drawn, method: int | None) -> Image:
    if method is None:
        return crop_face(face.image, face.truth, CropCalibration())
    side = round(face.truth.width)
    edge = side // 2
    crop = face.image[edge : edge + side, edge : edge + side]
    return np.asarray(cv2.resize(crop, (MODEL_SIZE, MODEL_SIZE), interpolation=method), np.uint8)


def _is_right(classifier: Classifier, crop: Image, truth: np.int64) -> bool:
    return int(classifier.probabilities(crop).argmax()) == truth


def _blur(sigma: float) -> Corrupt:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8) if sigma else image


def _darken(part: int) -> Corrupt:
    """Reduce the light by this factor, and add the sensor's noise."""
    rng = np.random.default_rng(0)
    return lambda image: np.asarray(np.clip(image / part + rng.normal(0, 2, image.shape), 0, 255), np.uint8)


if __name__ == "__main__":
    typer.run(main)
