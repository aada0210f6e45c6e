"""Measure for which faces a model is worse: by size, tilt, light and sharpness of the face.

    fer-edge models fetch mediapipe
    python -m benchmarks.groups DATA

FER2013 says nothing about the people in it. MediaPipe's short-range model measures size and tilt of each face; levels
and sharpness come from the pixels. Groups have other classes than the whole, so each accuracy stands beside the one
that the class recalls of all faces would give for the classes of that group. The gap is their difference. In the last
row the heads were turned upright first, as the runtime does with MediaPipe's boxes.

Not measured, since nothing here can tell honestly: skin tone (the individual typology angle, ITA, needs colour, and
FER2013 is grey; grey levels mix skin and light), glasses, beards, age and gender.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from fer_edge.detectors.blazeface import BlazeFace
from fer_edge.detectors.mediapipe_files import SHORT_RANGE, find_models
from fer_edge.types import FaceBox, Image
from fer_train.data.datasets import load_dataset
from fer_train.evaluation.metrics import accuracy_interval
from fer_train.evaluation.predictors import open_predictor

# A face is enlarged so much, with a border of half its side, in which its edge is repeated.
ENLARGE = 4
RESAMPLES = 2000

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured of each face, shape (N,) each; NaN where the detector finds none."""

    size: Floats  # side of the box in pixels, of 48
    roll: Floats  # degrees, clockwise
    level: Floats  # median grey level of the middle of the face
    sharpness: Floats  # variance of the Laplacian


def main(data: Path, model: str = "ferplus7", seed: int = 0) -> None:
    """Measure and print.

    Args:
        data: FER2013 with the votes of FER+.
        model: the bundle.
        seed: of the bootstrap.
    """
    predictor = open_predictor(model)
    faces = load_dataset(data, "validation", predictor.scheme)
    measured = measure(faces.images)
    correct, upright = (
        predictor.predict(images).argmax(axis=1) == faces.classes
        for images in (faces.images, turn_upright(faces.images, measured.roll))
    )
    table = Table(title=f"{model}, {len(correct)} faces of PublicTest: {correct.mean():.1%}")
    for heading in ("", "faces", "accuracy", "95 % interval", "with all recalls", "gap, points", "95 % interval"):
        table.add_column(heading, justify="right")
    rng = np.random.default_rng(seed)
    chosen = groups(measured)
    for name, group in chosen.items():
        table.add_row(name, *describe(correct, faces.classes, group, rng))
    *_, (name, group) = chosen.items()
    table.add_row(f"{name}, turned upright", *describe(np.where(group, upright, correct), faces.classes, group, rng))
    Console(width=140).print(table)


def describe(correct: Flags, classes: npt.NDArray[np.int64], group: Flags, rng: np.random.Generator) -> tuple[str, ...]:
    """The cells of a group in the table."""
    low, high = accuracy_interval(correct[group])
    gap, (least, most) = gap_of(correct, classes, group, rng)
    accuracy = correct[group].mean()
    return (
        f"{group.sum()}",
        f"{accuracy:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{accuracy - gap:.1%}",
        f"{100 * gap:+.1f}",
        f"{100 * least:+.1f} to {100 * most:+.1f}",
    )


def turn_upright(images: npt.NDArray[np.uint8], rolls: Floats) -> npt.NDArray[np.uint8]:
    """Faces, shape (N, 48, 48), turned back about their middle by their roll in degrees, if it is known."""
    turned = images.copy()
    for image, roll in zip(turned, rolls, strict=True):
        if np.isfinite(roll):
            middle = (image.shape[1] / 2, image.shape[0] / 2)
            turn = cv2.getRotationMatrix2D(middle, roll, 1.0)
            image[:] = cv2.warpAffine(image, turn, image.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return turned


def groups(measured: Measured) -> dict[str, Flags]:
    """Groups by each property: thirds of size, level and sharpness; steps of tilt; and faces that are not found."""
    found, tilt = np.isfinite(measured.size), np.abs(measured.roll)
    chosen: dict[str, Flags] = {"not found": ~found}
    for name, values, unit in (
        ("size", measured.size, " px"),
        ("level", measured.level, ""),
        ("sharpness", measured.sharpness, ""),
    ):
        known = np.isfinite(values)
        one, two = np.quantile(values[known], (1 / 3, 2 / 3))
        chosen[f"{name} below {one:.0f}{unit}"] = known & (values < one)
        chosen[f"{name} between"] = known & (values >= one) & (values < two)
        chosen[f"{name} from {two:.0f}{unit}"] = known & (values >= two)
    for low, high in ((0, 5), (5, 10), (10, 20), (20, 180)):
        chosen[f"tilt {low} to {high} degrees"] = found & (tilt >= low) & (tilt < high)
    return {name: group for name, group in chosen.items() if group.any()}


def gap_of(
    correct: Flags, classes: npt.NDArray[np.int64], group: Flags, rng: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """Accuracy of a group less that which the recalls of all faces give for its classes; with a bootstrap interval."""

    def gap(rows: npt.NDArray[np.intp]) -> float:
        hits, labels, inside = correct[rows], classes[rows], group[rows]
        counts = np.bincount(labels, minlength=classes.max() + 1)
        recalls = np.bincount(labels, hits, classes.max() + 1) / np.maximum(counts, 1)
        return float(hits[inside].mean() - recalls[labels[inside]].mean()) if inside.any() else np.nan

    count = len(correct)
    resampled = [gap(rng.integers(0, count, count)) for _ in range(RESAMPLES)]
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return gap(np.arange(count)), (float(low), float(high))


def measure(images: npt.NDArray[np.uint8]) -> Measured:
    """Measure grey faces, shape (N, 48, 48)."""
    find = _finder()
    boxes = [find(image) for image in images]
    middle = images[:, 12:36, 12:36].reshape(len(images), -1)
    return Measured(
        size=np.array([box.width if box else np.nan for box in boxes]),
        roll=np.array([box.roll if box else np.nan for box in boxes]),
        level=np.median(middle, axis=1).astype(np.float64),
        sharpness=np.array([cv2.Laplacian(image, cv2.CV_64F).var() for image in images]),
    )


def _finder() -> Callable[[Image], FaceBox | None]:
    network = BlazeFace(find_models()[SHORT_RANGE].read_bytes())

    def find(image: Image) -> FaceBox | None:
        side = len(image)
        border = side // 2
        framed = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
        large = cv2.cvtColor(cv2.resize(framed, None, fx=ENLARGE, fy=ENLARGE), cv2.COLOR_GRAY2BGR)
        whole = FaceBox(0, 0, *large.shape[1::-1])
        found = network.find(np.asarray(large, np.uint8), whole, 0.5)
        if not found:
            return None
        best = found[0]
        return FaceBox(best.x / ENLARGE, best.y / ENLARGE, best.width / ENLARGE, best.height / ENLARGE, roll=best.roll)

    return find


if __name__ == "__main__":
    typer.run(main)
