"""Write one evaluation: `report.md` with plots for people, and `scores.json` for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation import plots
from fer_train.evaluation.metrics import Score, confusion, score
from fer_train.files import make_folder, write_whole

CLASS_HEADINGS = ("class", "faces", "precision", "recall", "F1")

_MISTAKES = 3
# The report leaves out these parts of a training record: it has them elsewhere, or they are very long.
_LEFT_OUT = ("labels", "results", "trainings")


def write_report(
    folder: Path,
    probabilities: npt.NDArray[np.float32],
    faces: LabelledFaces,
    title: str,
    *,
    suffix: str = "",
    history: Path | None = None,
    record: Mapping[str, object] | None = None,
) -> Score:
    """Write `report.md`, `scores.json` and the pictures of one evaluation into a folder.

    Args:
        folder: created if missing; files with the same names are replaced.
        probabilities: the model's outputs, shape (N, C).
        faces: the same N faces with their labels.
        title: first line of the report.
        suffix: added to the file names before the dot, so that a folder can hold several reports.
        history: a training's `history.csv`, for the curves.
        record: a training's record, as in `training.json`.

    Raises:
        ConfigError: the folder cannot be written.
    """
    result = score(probabilities, faces)
    counts = confusion(probabilities, faces)
    pictures = {
        "classes": plots.class_bars(result),
        "confusion": plots.confusion_matrix(probabilities, faces),
        "reliability": plots.reliability_diagram(probabilities, faces),
        "samples": plots.samples(probabilities, faces),
    }
    epochs = plots.read_history(history) if history else {}
    if epochs:
        pictures["curves"] = plots.curves(epochs)
    links = {name: f"{name}{suffix}.png" for name in pictures}
    text = "\n".join(_lines(title, result, counts, faces, links, record or {}))
    figures = json.dumps({"labels": faces.scheme, **asdict(result), "confusion": counts.tolist()}, indent=2)
    make_folder(folder)
    for name, picture in pictures.items():
        write_whole(folder / links[name], picture)
    write_whole(folder / f"scores{suffix}.json", (figures + "\n").encode())
    write_whole(folder / f"report{suffix}.md", text.encode())
    return result


def summary(result: Score, faces: LabelledFaces) -> str:
    """One sentence: the accuracy, the data and the calibration error."""
    low, high = result.interval
    return (
        f"Accuracy {result.accuracy:.2%} (95 % interval {low:.1%} to {high:.1%}) on {result.images} faces of "
        f"{faces.source.name}, {faces.split} split, {faces.scheme} labels; "
        f"expected calibration error {result.calibration_error:.4f}"
    )


def class_table(result: Score) -> list[tuple[str, ...]]:
    """Rows of class, faces, precision, recall and F1 as text, then the macro average."""
    columns = (result.precision, result.recall, result.f1)
    rows = [
        (label, str(count), *(_share(column[label]) for column in columns)) for label, count in result.support.items()
    ]
    means = [np.mean([share for share in column.values() if share is not None]) for column in columns]
    return [*rows, ("mean", str(result.images), *(_share(float(mean)) for mean in means))]


def _lines(
    title: str,
    result: Score,
    counts: npt.NDArray[np.int64],
    faces: LabelledFaces,
    links: Mapping[str, str],
    record: Mapping[str, object],
) -> Iterator[str]:
    yield from (f"# {title}", "", f"{summary(result, faces)}.", "")
    yield from ("## Each class", "")
    yield from table(CLASS_HEADINGS, class_table(result))
    yield from (
        "",
        "Precision: the fraction of the predictions of this class that are correct. Recall: the fraction of the faces "
        "of this class that were found. F1: their harmonic mean. The last line is the macro average: the mean over "
        "the classes.",
        "",
        f"![Precision, recall and F1 of each class]({links['classes']})",
        "",
        "## Confusion matrix",
        "",
        f"Most frequent mistakes: {'; '.join(_mistakes(counts, faces.labels)) or 'none'}.",
        "",
        f"![Confusion matrix: faces, and percent of the true class]({links['confusion']})",
        "",
        "## Calibration",
        "",
        "Bars above the line: accuracy is higher than confidence. Bars below: the model is overconfident.",
        "",
        f"![Accuracy against confidence]({links['reliability']})",
        "",
        "## Samples",
        "",
        "Chosen at random.",
        "",
        f"![Faces with correct and with wrong predictions]({links['samples']})",
        "",
    )
    if "curves" in links:
        yield from ("## The training", "", f"![Loss and accuracy by epoch]({links['curves']})", "")
    if record:
        yield from ("## Training record", "")
        yield from table(("", ""), [(name, str(value)) for name, value in _flat(record)])
        yield ""


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a Markdown table; columns after the first are right-aligned."""
    yield f"| {' | '.join(headings)} |"
    yield f"|---{'|---:' * (len(headings) - 1)}|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |"


def _mistakes(counts: npt.NDArray[np.int64], labels: tuple[str, ...]) -> list[str]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    largest = [divmod(int(place), len(labels)) for place in np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]]
    return [
        f"{labels[true]} predicted as {labels[read]} "
        f"({wrong[true, read]} faces, {wrong[true, read] / counts[true].sum():.0%} of the class)"
        for true, read in largest
        if wrong[true, read]
    ]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _flat(record: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in record.items():
        if name in _LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
