"""Measure the effect of dividing by the training prior, at powers from 0 to 1: a table and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fer_edge.errors import ConfigError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.prior import DEFAULT_POWER, prior_weights, reweight
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import Score, score
from fer_train.evaluation.plots import as_png
from fer_train.evaluation.predictors import open_predictor
from fer_train.files import make_folder, write_whole

POWERS = (0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
# A class is rare, and has its own column, if its fraction of the training data is below this.
_RARE = 0.05
# An int8 model may give a class no probability at all.
_LEAST_PROBABILITY = 1 / 512


@dataclass(frozen=True, slots=True)
class Point:
    """One power of the prior.

    Attributes:
        power: 0..1.
        score: accuracy, recalls and calibration error at this power.
        loss: mean negative log-likelihood of the labels.
    """

    power: float
    score: Score
    loss: float

    @property
    def macro_recall(self) -> float:
        """Mean recall of the classes that have faces, 0..1."""
        return float(np.mean([recall for recall in self.score.recall.values() if recall is not None]))


@dataclass(frozen=True, slots=True)
class Curve:
    """All powers of one model on one split.

    Attributes:
        title: the model and the faces.
        prior: fraction of each label in the training data.
        points: one per power.
    """

    title: str
    prior: dict[str, float]
    points: tuple[Point, ...]

    @property
    def rare(self) -> list[str]:
        """Labels that are rare in the training data and have faces here."""
        recall = self.points[0].score.recall
        return [label for label, share in self.prior.items() if share < _RARE and recall[label] is not None]


def measure_curve(name: str, faces: LabelledFaces) -> Curve:
    """Run a bundle's int8 model once on the faces, and divide its probabilities by each power of the prior.

    Raises:
        ModelError: there is no such bundle, or it cannot be used.
        ConfigError: the bundle has no prior.
    """
    folder = find_bundle(name)
    prior = load_bundle(folder).manifest.prior
    if prior is None:
        raise ConfigError(f"{folder}: model.json has no prior. Add it with fer-quantize --add-prior")
    answers = open_predictor(name, faces.scheme).predict(faces.images)
    points = tuple(_point(reweight(answers, prior_weights(prior, power)), faces, power) for power in POWERS)
    return Curve(f"{name}, int8, {len(faces)} faces of {faces.split}, {faces.scheme}", prior, points)


def write_curve(curve: Curve, out: Path) -> list[Path]:
    """Write `prior.md` and `prior.png` into a folder; return their paths."""
    make_folder(out)
    files = {out / "prior.md": as_markdown(curve).encode(), out / "prior.png": _plot(curve)}
    for path, content in files.items():
        write_whole(path, content)
    return list(files)


def as_markdown(curve: Curve) -> str:
    """The table as Markdown; the row of the default is bold."""
    lines = [f"{curve.title}:", "", _row(headings(curve)), _row(["---"] * len(headings(curve)))]
    for point in curve.points:
        bold = "**" if point.power == DEFAULT_POWER else ""
        lines.append(_row([f"{bold}{cell}{bold}" for cell in cells(curve, point)]))
    return "\n".join(lines) + "\n"


def headings(curve: Curve) -> list[str]:
    """The headings of the table."""
    return ["prior", "accuracy, %", "macro recall, %", *(f"{label}, %" for label in curve.rare), "ECE", "log loss"]


def cells(curve: Curve, point: Point) -> list[str]:
    """One row of the table."""
    recalls = [point.score.recall[label] or 0.0 for label in curve.rare]
    percents = [point.score.accuracy, point.macro_recall, *recalls]
    shown = [f"{100 * share:.1f}" for share in percents]
    return [f"{point.power:g}", *shown, f"{point.score.calibration_error:.3f}", f"{point.loss:.3f}"]


def _point(probabilities: npt.NDArray[np.float32], faces: LabelledFaces, power: float) -> Point:
    said = probabilities[np.arange(len(faces)), faces.classes]
    loss = float(-np.log(np.maximum(said, _LEAST_PROBABILITY)).mean())
    return Point(power, score(probabilities, faces), loss)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plot(curve: Curve) -> bytes:
    powers = [point.power for point in curve.points]
    lines = {
        "accuracy": [point.score.accuracy for point in curve.points],
        "macro recall": [point.macro_recall for point in curve.points],
        **{f"recall of {label}": [point.score.recall[label] or 0.0 for point in curve.points] for label in curve.rare},
    }
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for name, shares in lines.items():
            style = "--" if name.startswith("recall") else "-"
            axes.plot(powers, [100 * share for share in shares], style, marker=".", label=name)
        axes.axvline(DEFAULT_POWER, color="grey", linewidth=0.8)
        axes.set_xlabel("[classifier] prior (grey line: the default)")
        axes.set_ylabel("%")
        axes.set_title(curve.title)
        axes.legend(fontsize=8)
        return as_png(figure)
