"""How much a model loses when faces are corrupted, one way at a time."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from fer_edge.terminal import console, output_console
from fer_train.data.corruptions import CORRUPTIONS
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import Interval, accuracy_interval
from fer_train.evaluation.predictors import Predictor
from fer_train.evaluation.report import table
from fer_train.files import make_folder, write_whole

_HEADINGS = ("degradation", "level", "accuracy, % (95 %)", "lost, pp", "neutral as sad")


@dataclass(frozen=True, slots=True)
class Row:
    """One level of one degradation; shares are fractions of one.

    Attributes:
        degradation: its name.
        level: with its unit.
        accuracy: on the corrupted faces.
        interval: its 95 % confidence interval.
        neutral_as_sad: share of the neutral faces that are read as sad; None where there are none.
    """

    degradation: str
    level: str
    accuracy: float
    interval: Interval
    neutral_as_sad: float | None


def measure(model: Predictor, faces: LabelledFaces, seed: int) -> list[Row]:
    """Measure the faces as they are, then each level of each degradation."""
    cases = [(degradation, level) for degradation in CORRUPTIONS for level in degradation.levels]
    rows = [_row("none", "", model.predict(faces.images), faces)]
    for degradation, level in track(
        cases, "corruptions", console=console(), transient=True, disable=not sys.stderr.isatty()
    ):
        corrupted = degradation.apply(faces.images, level, seed)
        rows.append(_row(degradation.name, f"{level:g} {degradation.unit}".strip(), model.predict(corrupted), faces))
    return rows


def mean_accuracy(rows: list[Row]) -> float:
    """Mean over the degradations, each the mean of its levels, so that all ways weigh the same."""
    return mean(
        mean(row.accuracy for row in rows if row.degradation == degradation.name) for degradation in CORRUPTIONS
    )


def print_robustness(model: Predictor, faces: LabelledFaces, rows: list[Row]) -> None:
    """Print a line a level, with the mean below."""
    found = Table(title=escape(_title(model, faces)))
    for heading in _HEADINGS:
        found.add_column(heading, justify="left" if heading == "degradation" else "right")
    above = ""
    for line in _cells(rows):
        if above and line[0] != above:
            found.add_section()
        found.add_row(*line)
        above = line[0]
    output_console().print(found)


def write_robustness(folder: Path, model: Predictor, faces: LabelledFaces, rows: list[Row]) -> None:
    """Write `robustness.md` and `robustness.csv` into a folder. Raises ConfigError where that cannot be done."""
    make_folder(folder)
    text = "\n".join((f"# {_title(model, faces)}", "", *table(_HEADINGS, _cells(rows)), ""))
    figures = io.StringIO()
    writer = csv.writer(figures, lineterminator="\n")
    writer.writerow(("degradation", "level", "accuracy", "low", "high", "neutral_as_sad"))
    for row in rows:
        numbers = (row.accuracy, *row.interval, row.neutral_as_sad)
        writer.writerow((row.degradation, row.level, *("" if n is None else f"{n:.4f}" for n in numbers)))
    write_whole(folder / "robustness.csv", figures.getvalue().encode())
    write_whole(folder / "robustness.md", text.encode())


def _row(name: str, level: str, probabilities: npt.NDArray[np.float32], faces: LabelledFaces) -> Row:
    predicted = probabilities.argmax(axis=1)
    right = predicted == faces.classes
    neutral = predicted[faces.classes == faces.labels.index("neutral")]
    return Row(
        degradation=name,
        level=level,
        accuracy=float(right.mean()),
        interval=accuracy_interval(right),
        neutral_as_sad=float((neutral == faces.labels.index("sad")).mean()) if len(neutral) else None,
    )


def _title(model: Predictor, faces: LabelledFaces) -> str:
    return f"{model.name} on {len(faces)} corrupted faces of {faces.source.name}, {faces.split}, {faces.scheme}"


def _cells(rows: list[Row]) -> list[tuple[str, ...]]:
    clean, average = rows[0].accuracy, mean_accuracy(rows)
    cells = [
        (
            row.degradation,
            row.level,
            f"{100 * row.accuracy:.1f} ({100 * row.interval[0]:.1f} to {100 * row.interval[1]:.1f})",
            f"{100 * (clean - row.accuracy):+.1f}",
            "-" if row.neutral_as_sad is None else f"{row.neutral_as_sad:.1%}",
        )
        for row in rows
    ]
    return [*cells, ("mean", "", f"{100 * average:.1f}", f"{100 * (clean - average):+.1f}", "")]
