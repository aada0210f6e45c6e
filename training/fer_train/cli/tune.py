"""`fer-train tune`: search for better values of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_train.cli.options import Data, Overrides, PrecisionName, RecipeName


def tune(
    data: Data,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the search. An interrupted search continues.")
    ],
    recipe: RecipeName = "edge",
    trials: Annotated[
        int, typer.Option(min=1, metavar="N", help="Trials to finish. Those that are stopped early count too.")
    ] = 20,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES", help="What to search: KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C. May be repeated."
        ),
    ] = None,
    overrides: Overrides = None,
    precision: PrecisionName = "auto",
) -> None:
    """Search for better values of a recipe, measured on held-out training faces."""
    from fer_train.data.holdout import load_fold
    from fer_train.training.precision import parse_precision
    from fer_train.tuning.search_space import parse_space

    space = parse_space(recipe, overrides or (), vary or ())
    chosen = space.recipe({})
    from fer_train.backend import load_keras
    from fer_train.tuning.report import print_trials, write_results
    from fer_train.tuning.search import Task, open_study, run_trials

    load_keras()
    policy = parse_precision(precision)
    train, held_out = load_fold(data, chosen.schemes, chosen.votes)
    task = Task(space, train, held_out, policy, out)
    with open_study(task) as study:
        try:
            run_trials(study, task, trials)
        finally:
            print_trials(study)
            for path in write_results(study, space, out):
                typer.echo(f"{path}: written")
