"""The work of `fer-train evaluate`: measure a model on labelled faces, print the result, write a report."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from fer_edge.errors import ConfigError, choose
from fer_edge.terminal import output_console
from fer_train.data.datasets import LabelledFaces, Split
from fer_train.evaluation.metrics import Score, score
from fer_train.evaluation.predictors import Predictor
from fer_train.evaluation.report import CLASS_HEADINGS, class_table, summary, write_report


def parse_split(name: str) -> Split:
    """Return a split by name. Raises ConfigError for an unknown one."""
    for split in get_args(Split):
        if name == split:
            return split  # type: ignore[no-any-return]
    raise ConfigError(f"split '{name}' is unknown. {choose(name, get_args(Split))}")


def evaluate(model: Predictor, faces: LabelledFaces, out: Path | None, *, mirror: bool) -> None:
    """Measure a model on labelled faces, print the result, and write a report.

    Args:
        model: the model.
        faces: the labelled faces.
        out: folder of the report; None for no report.
        mirror: also measure the mean over each face and its mirror image. The names of its files end in `-mirror`.

    Raises:
        ConfigError: the folder cannot be written.
    """
    readings = {"": model.predict(faces.images)}
    if mirror:
        mirrored = model.predict(np.ascontiguousarray(faces.images[:, :, ::-1]))
        readings["-mirror"] = np.asarray((readings[""] + mirrored) / 2, np.float32)
    for suffix, probabilities in readings.items():
        title = f"{model.name}{', with the mirror image' if suffix else ''}"
        if out:
            write_report(out, probabilities, faces, title, suffix=suffix)
        _print(title, score(probabilities, faces), faces)
    if out:
        typer.echo(f"{out / 'report.md'}: written")


def _print(title: str, result: Score, faces: LabelledFaces) -> None:
    found = Table(title=escape(title))
    for heading in CLASS_HEADINGS:
        found.add_column(heading, justify="left" if heading == "class" else "right")
    *classes, mean = class_table(result)
    for row in classes:
        found.add_row(*row)
    found.add_section()
    found.add_row(*mean)
    output_console().print(found)
    typer.echo(f"{summary(result, faces)}.")
