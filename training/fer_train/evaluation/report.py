"""One evaluation for people and programs: `report.md` with its pictures, and `scores.json`."""

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
# Parts of a training's record that the report says elsewhere, or that would fill pages.
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
        folder: made if need be; files of the same names are replaced.
        probabilities: what the model says, shape (N, C).
        faces: the same N faces with their labels.
        title: first line of the report.
        suffix: ends the files' names before the dot, so that a folder may hold several reports.
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
    """One sentence: how often the model is right, and on what."""
    low, high = result.interval
    return (
        f"{result.accuracy:.2%} right (95 % interval {low:.1%} to {high:.1%}) on {result.images} faces of "
        f"{faces.source.name}, {faces.split} split, {faces.scheme} labels; "
        f"expected calibration error {result.calibration_error:.4f}"
    )


def class_table(result: Score) -> list[tuple[str, ...]]:
    """Rows of class, faces, precision, recall and F1 as text, then the plain mean over the classes."""
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
        "Precision: of the faces that were given this class, the share that is of it. Recall: of the faces of this "
        "class, the share that was found. F1: their harmonic mean. The last line weighs all classes alike.",
        "",
        f"![Precision, recall and F1 of each class]({links['classes']})",
        "",
        "## Confusion matrix",
        "",
        f"Most frequent mistakes: {'; '.join(_mistakes(counts, faces.labels)) or 'none'}.",
        "",
        f"![Confusion matrix: faces, and shares of the true class]({links['confusion']})",
        "",
        "## How sure it is",
        "",
        "Bars above the line: more often right than it claims. Bars below: too sure of itself.",
        "",
        f"![Accuracy against confidence]({links['reliability']})",
        "",
        "## Samples",
        "",
        "Drawn by chance, not chosen.",
        "",
        f"![Faces that were read right and wrong]({links['samples']})",
        "",
    )
    if "curves" in links:
        yield from ("## The training", "", f"![Loss and accuracy by epoch]({links['curves']})", "")
    if record:
        yield from ("## How it was made", "")
        yield from table(("", ""), [(name, str(value)) for name, value in _flat(record)])
        yield ""


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a Markdown table; columns after the first are set to the right."""
    yield f"| {' | '.join(headings)} |"
    yield f"|---{'|---:' * (len(headings) - 1)}|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |"


def _mistakes(counts: npt.NDArray[np.int64], labels: tuple[str, ...]) -> list[str]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    largest = [divmod(int(place), len(labels)) for place in np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]]
    return [
        f"{labels[true]} read as {labels[read]} "
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
