"""Plots of a training and of an evaluation, each as the content of a PNG file.

The colours are those of Okabe & Ito, which colour-blind people can distinguish. Correct and wrong predictions differ
in more than colour.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import Score, confusion, reliability

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)

_DPI = 100
_PALETTE = 64
# The sheet of samples shows this many correct and this many wrong predictions per class.
_SAMPLES = 4


def as_png(figure: Figure) -> bytes:
    """The content of a PNG file with 64 colours, so that a sheet of grey faces stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, dpi=_DPI)
    with Image.open(full) as picture:
        picture.convert("RGB").quantize(_PALETTE).save(small, "png", optimize=True)
    return small.getvalue()


def read_history(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read the columns of a `history.csv`, shape (epochs,) each; NaN for missing values."""
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    names = rows[0] if rows else ()
    return {name: np.array([_number(row[name]) for row in rows]) for name in names}


def curves(history: dict[str, npt.NDArray[np.float64]]) -> bytes:
    """Loss and accuracy per epoch: training solid, validation dashed, one colour per head."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    heads: list[str] = []
    for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        percent = 100 if measure == "accuracy" else 1
        for name in [name for name in history if name.endswith(measure) and not name.startswith("val_")]:
            head = name.removesuffix(measure).rstrip("_")
            heads += [head] if head not in heads else []
            colour = _COLOURS[heads.index(head) % len(_COLOURS)]
            for column, what, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
                if column in history:
                    values = percent * history[column]
                    axes.plot(history["epoch"] + 1, values, style, color=colour, label=f"{head} {what}".strip())
        axes.set(xlabel="epoch", ylabel="accuracy, %" if percent == 100 else "loss")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return as_png(figure)


def confusion_matrix(probabilities: npt.NDArray[np.float32], faces: LabelledFaces) -> bytes:
    """Plot the confusion matrix: number of faces, and percent of the true class (row)."""
    counts = confusion(probabilities, faces)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 55 else "black"
        axes.text(column, row - 0.12, f"{share:.0f} %", ha="center", va="center", color=colour)
        axes.text(column, row + 0.22, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    places = np.arange(len(faces.labels))
    axes.set_xticks(places, faces.labels, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, faces.labels)
    axes.set(xlabel="predicted", ylabel="true")
    return as_png(figure)


def reliability_diagram(probabilities: npt.NDArray[np.float32], faces: LabelledFaces) -> bytes:
    """Accuracy against confidence, with the number of faces in each bin below."""
    bins = reliability(probabilities, faces.classes)
    figure = Figure(figsize=(5.4, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middle = 100 * (bins.low + bins.width / 2)
    width = 100 * bins.width
    upper.bar(middle, 100 * bins.accuracy, width, color=BLUE, edgecolor="white", label="accuracy")
    upper.plot((0, 100), (0, 100), "--", color="black", linewidth=1, label="perfect calibration")
    upper.set(ylabel="accuracy, %", xlim=(0, 100), ylim=(0, 100))
    upper.set_title(f"expected calibration error: {100 * bins.error:.1f} percentage points")
    upper.legend(loc="upper left")
    lower.bar(middle, bins.count, width, color="0.5", edgecolor="white")
    lower.set(xlabel="confidence (the largest probability), %", ylabel="faces")
    return as_png(figure)


def class_bars(score: Score) -> bytes:
    """Precision, recall and F1 of each class."""
    labels = list(score.support)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    for offset, name, shares, colour in (
        (-0.27, "precision", score.precision, BLUE),
        (0.0, "recall", score.recall, ORANGE),
        (0.27, "F1", score.f1, GREEN),
    ):
        heights = [100 * (shares[label] or 0) for label in labels]
        bars = axes.bar(np.arange(len(labels)) + offset, heights, 0.25, label=name, color=colour)
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    axes.set_xticks(np.arange(len(labels)), [f"{label}\n{score.support[label]} faces" for label in labels])
    axes.set(ylabel="%", ylim=(0, 105))
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return as_png(figure)


def samples(probabilities: npt.NDArray[np.float32], faces: LabelledFaces, seed: int = 0) -> bytes:
    """A sheet of random faces: one row per true class, correct predictions on the left, wrong ones on the right."""
    rng = np.random.default_rng(seed)
    predicted = probabilities.argmax(axis=1)
    rows, side = len(faces.labels), faces.images.shape[1]
    cell = np.array([1.28, 1.16]) * side  # height and width in pixels of the faces; the text has the rest of the height
    figure = Figure(figsize=(9.6, 0.4 + 1.2 * rows), layout="constrained")
    for axes, right, mark, colour in zip(figure.subplots(1, 2), (True, False), "✓✗", (BLUE, ORANGE), strict=True):
        title = f"{mark} {'correct' if right else 'wrong'} (row: true class; below the face: prediction)"
        axes.set_title(title, color=colour, fontsize=9)
        height, width = (cell * (rows, _SAMPLES)).astype(int)
        sheet = np.full((height, width, 3), 255, np.uint8)
        for true in range(rows):
            fitting = np.flatnonzero((faces.classes == true) & ((predicted == true) == right))
            for column, index in enumerate(rng.permutation(fitting)[:_SAMPLES]):
                top, left = (cell * (true, column)).astype(int) + 1
                sheet[top - 1 : top + side + 1, left - 1 : left + side + 1] = 255 * np.array(to_rgb(colour))
                sheet[top : top + side, left : left + side] = faces.images[index][..., None]
                text = f"{mark} {faces.labels[predicted[index]]} {probabilities[index].max():.0%}"
                axes.text(left + side / 2, top + 1.04 * side, text, color=colour, fontsize=8, ha="center", va="top")
        axes.imshow(sheet, interpolation="nearest")
        axes.set_xticks(())
        axes.set_yticks(cell[0] * np.arange(rows) + side / 2, faces.labels, fontsize=9, rotation=90, va="center")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return as_png(figure)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # Keras writes NA
        return float("nan")
