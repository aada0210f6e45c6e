"""`fer-train evaluate`, `robustness` and `prior`: measure a model on labelled faces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_train.cli.options import DataPath, Labels, ModelName, SplitName, VotesName


def evaluate(
    model: ModelName,
    data: DataPath,
    labels: Labels = None,
    split: SplitName = "validation",
    votes: VotesName = "soft",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write a report with pictures there.")] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Also measure the mean of each face and its mirror image.")
    ] = False,
    prior: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="X",
            help="Bundles only: the power of the training prior, as \\[classifier] prior of fer-edge.",
        ),
    ] = 0.0,
) -> None:
    """Measure a model: accuracy, recall per class, confusion matrix and calibration error."""
    from fer_train.data.datasets import parse_votes
    from fer_train.data.holdout import load_split
    from fer_train.evaluation.evaluate import evaluate as judge
    from fer_train.evaluation.evaluate import parse_split
    from fer_train.evaluation.predictors import open_predictor

    part, opened = parse_split(split), open_predictor(model, labels, prior)
    judge(opened, load_split(data, part, opened.scheme, parse_votes(votes)), out, mirror=mirror)


def robustness(
    model: ModelName,
    data: DataPath,
    labels: Labels = None,
    split: SplitName = "validation",
    votes: VotesName = "soft",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the table there, as Markdown and CSV.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the noise and the directions.")] = 0,
) -> None:
    """Measure how much accuracy a model loses on corrupted faces: small, blurred, noisy, dark, shifted, tilted ..."""
    from fer_train.data.datasets import parse_votes
    from fer_train.data.holdout import load_split
    from fer_train.evaluation.evaluate import parse_split
    from fer_train.evaluation.predictors import open_predictor
    from fer_train.evaluation.robustness import measure, print_robustness, write_robustness

    part, opened = parse_split(split), open_predictor(model, labels)
    faces = load_split(data, part, opened.scheme, parse_votes(votes))
    rows = measure(opened, faces, seed)
    print_robustness(opened, faces, rows)
    if out:
        write_robustness(out, opened, faces, rows)
        typer.echo(f"{out / 'robustness.md'}: written")


def prior_curve(
    model: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, by name or folder.")],
    data: DataPath,
    labels: Labels = None,
    split: SplitName = "validation",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write prior.md and prior.png there.")] = None,
) -> None:
    """Measure what each power of the training prior gives to rare expressions and costs the others."""
    from rich.table import Table

    from fer_edge.terminal import output_console
    from fer_train.data.holdout import load_split
    from fer_train.evaluation.evaluate import parse_split
    from fer_train.evaluation.predictors import open_predictor
    from fer_train.evaluation.prior_curve import cells, headings, measure_curve, write_curve

    part, scheme = parse_split(split), open_predictor(model, labels).scheme
    curve = measure_curve(model, load_split(data, part, scheme))
    table = Table(*headings(curve), title=curve.title)
    for point in curve.points:
        table.add_row(*cells(curve, point))
    output_console().print(table)
    for path in write_curve(curve, out) if out else ():
        typer.echo(f"{path}: written")
