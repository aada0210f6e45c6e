"""Measure how much accuracy a model loses on corrupted faces, one corruption at a time."""

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

_HEADINGS = ("corruption", "level", "accuracy, % (95 %)", "lost, pp", "neutral as sad")


@dataclass(frozen=True, slots=True)
class Row:
    """One level of one corruption.

    Attributes:
        corruption: its name.
        level: its level with the unit.
        accuracy: accuracy on the corrupted faces, 0..1.
        interval: its 95 % confidence interval.
        neutral_as_sad: fraction of the neutral faces that are predicted as sad; None if there are none.
    """

    corruption: str
    level: str
    accuracy: float
    interval: Interval
    neutral_as_sad: float | None


def measure(model: Predictor, faces: LabelledFaces, seed: int) -> list[Row]:
    """Measure the original faces, then each level of each corruption."""
    cases = [(corruption, level) for corruption in CORRUPTIONS for level in corruption.levels]
    rows = [_row("none", "", model.predict(faces.images), faces)]
    for corruption, level in track(
        cases, "corruptions", console=console(), transient=True, disable=not sys.stderr.isatty()
    ):
        corrupted = corruption.apply(faces.images, level, seed)
        rows.append(_row(corruption.name, f"{level:g} {corruption.unit}".strip(), model.predict(corrupted), faces))
    return rows


def mean_accuracy(rows: list[Row]) -> float:
    """Mean accuracy over the corruptions; each one is the mean over its levels, so that all have the same weight."""
    return mean(mean(row.accuracy for row in rows if row.corruption == corruption.name) for corruption in CORRUPTIONS)


def print_robustness(model: Predictor, faces: LabelledFaces, rows: list[Row]) -> None:
    """Print one line per level, with the mean below."""
    found = Table(title=escape(_title(model, faces)))
    for heading in _HEADINGS:
        found.add_column(heading, justify="left" if heading == "corruption" else "right")
    above = ""
    for line in _cells(rows):
        if above and line[0] != above:
            found.add_section()
        found.add_row(*line)
        above = line[0]
    output_console().print(found)


def write_robustness(folder: Path, model: Predictor, faces: LabelledFaces, rows: list[Row]) -> None:
    """Write `robustness.md` and `robustness.csv` into a folder. Raises ConfigError if that fails."""
    make_folder(folder)
    text = "\n".join((f"# {_title(model, faces)}", "", *table(_HEADINGS, _cells(rows)), ""))
    figures = io.StringIO()
    writer = csv.writer(figures, lineterminator="\n")
    writer.writerow(("corruption", "level", "accuracy", "low", "high", "neutral_as_sad"))
    for row in rows:
        numbers = (row.accuracy, *row.interval, row.neutral_as_sad)
        writer.writerow((row.corruption, row.level, *("" if n is None else f"{n:.4f}" for n in numbers)))
    write_whole(folder / "robustness.csv", figures.getvalue().encode())
    write_whole(folder / "robustness.md", text.encode())


def _row(name: str, level: str, probabilities: npt.NDArray[np.float32], faces: LabelledFaces) -> Row:
    predicted = probabilities.argmax(axis=1)
    right = predicted == faces.classes
    neutral = predicted[faces.classes == faces.labels.index("neutral")]
    return Row(
        corruption=name,
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
            row.corruption,
            row.level,
            f"{100 * row.accuracy:.1f} ({100 * row.interval[0]:.1f} to {100 * row.interval[1]:.1f})",
            f"{100 * (clean - row.accuracy):+.1f}",
            "-" if row.neutral_as_sad is None else f"{row.neutral_as_sad:.1%}",
        )
        for row in rows
    ]
    return [*cells, ("mean", "", f"{100 * average:.1f}", f"{100 * (clean - average):+.1f}", "")]
