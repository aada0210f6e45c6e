"""`fer-train fit`, `distill` and `average`: from labelled faces to a model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.options import default
from fer_edge.errors import ConfigError
from fer_train.cli.options import LABELS_HELP, Data, Overrides, PrecisionName, RecipeName

# With fewer faces per class than this, a training may make the model worse.
_FEW_FACES = 20
# The help shows this as the default of a value that the recipe holds.
_RECIPES = "the recipe's"


def fit(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the model, its history and its report.")],
    recipe: RecipeName = "edge",
    labels: Annotated[str | None, typer.Option(metavar="NAME", help=default(LABELS_HELP, _RECIPES))] = None,
    architecture: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=default("The network: see fer-train architectures.", _RECIPES)),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help=default("Passes over the training faces.", _RECIPES))
    ] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help=default("Faces per step.", _RECIPES))] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="X", help=default("Highest learning rate of the schedule.", _RECIPES))
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help=default("Seed of all random numbers.", _RECIPES))
    ] = None,
    overrides: Overrides = None,
    precision: PrecisionName = "auto",
    teachers: Annotated[
        list[Path] | None,
        typer.Option(
            "--teacher", metavar="PATH", help="A model, or a training's folder, to learn from. May be repeated."
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help=default(
                "Initialise the weights from this model: a file, a training's folder or a shipped name.", "from scratch"
            ),
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER",
            help="A layer that keeps the weights of --init: trunk, or a name with * and ?. May be repeated.",
        ),
    ] = None,
    h5: Annotated[bool, typer.Option("--export-h5", help="Write the older formats too: see fer-train export.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training after its last finished epoch.")
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the curves there too, for TensorBoard.")
    ] = None,
    steps_per_execution: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Steps that a GPU computes before Python goes on; not on PyTorch."),
    ] = 1,
    workers: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Number of processes that train together, on JAX.")
    ] = None,
    worker: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="The number of this process, from 0 to --workers less 1.")
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The address at which process 0 is reached.")
    ] = None,
) -> None:
    """Train a network by a recipe."""
    from fer_train.recipes import load_recipe

    if context.info_name == "distill" and not teachers:
        raise ConfigError("distill: there is no teacher. Give --teacher")
    if freeze and not init:
        raise ConfigError("--freeze: random weights are not worth keeping. Give --init too")
    chosen = load_recipe(
        recipe,
        overrides or (),
        labels=labels,
        architecture=architecture,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    from fer_train.backend import load_keras
    from fer_train.data.datasets import load_both
    from fer_train.data.holdout import load_fold
    from fer_train.runs.records import find_keras_file
    from fer_train.runs.resume import check

    check(out, resume)  # at once, not after the seconds that the data and Keras take to load
    start = find_keras_file(init) if init else None
    faces, watched = (load_fold if chosen.hold_out else load_both)(data, chosen.schemes, chosen.votes)
    load_keras()
    from fer_train.export import export_h5
    from fer_train.training.distributed import parse_coordinator
    from fer_train.training.fit import fit as train
    from fer_train.training.precision import parse_precision
    from fer_train.training.progress import EpochProgress, tensorboard_callback

    together = parse_coordinator(workers, worker, coordinator)
    curves = [tensorboard_callback(tensorboard)] if tensorboard and not worker else []
    with EpochProgress(chosen.labels) as progress:
        model = train(
            faces,
            watched,
            chosen,
            out,
            resume=resume,
            precision=parse_precision(precision),
            teachers=teachers or (),
            init=start,
            freeze=freeze or (),
            callbacks=[progress, *curves],
            coordinator=together,
            steps_per_execution=steps_per_execution,
        )
    if model is None:
        typer.echo(f"worker {worker}: done. Worker 0 saves the model")
        return
    if h5:
        export_h5(model, out)
    for line in _told(out, min(faces[0].support.values())):
        typer.echo(line)
    typer.echo(f"{out / 'model.keras'}: trained. Next: {_quantize(out, data)}")


def average(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of two or more finished trainings.")],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the model and its report.")],
) -> None:
    """Average the weights of trainings that were initialised from one another. Often better than each of them."""
    from fer_train.runs.records import common_recipe
    from fer_train.runs.resume import check

    if len(runs) == 1:
        raise ConfigError("average: there is only one training. Name two or more")
    recipe = common_recipe(runs)
    check(out, resume=False)
    from fer_train.backend import load_keras
    from fer_train.data.datasets import load_both
    from fer_train.data.holdout import load_fold

    learnt, watched = (load_fold if recipe.hold_out else load_both)(data, recipe.schemes, recipe.votes)
    load_keras()
    from fer_train.training.averaging import average as mean

    mean(runs, recipe, learnt, watched, out)
    typer.echo(f"{out / 'model.keras'}: averaged. Next: {_quantize(out, data)}")


def _told(out: Path, fewest: int) -> list[str]:
    """Describe what a training that started from another model gained, with its uncertainty."""
    from fer_train.runs.records import KERAS_FILE, training_record

    gain = training_record(out / KERAS_FILE).get("gain")
    if not gain:
        return []
    low, high = gain["interval"]
    accuracy = f"{gain['before']:.1%} before, {gain['after']:.1%} after"
    recall = f"macro recall: {gain['macro_recall_before']:.1%} before, {gain['macro_recall_after']:.1%} after"
    lines = [f"accuracy on {gain['images']} validation faces: {accuracy} ({low:.1%} to {high:.1%})", recall]
    if gain["kept_start"]:
        lines.append("kept the starting weights: nothing was gained")
    if fewest < _FEW_FACES:
        lines.append(
            f"a class has only {fewest} faces to learn from: with fewer than {_FEW_FACES} the result may be better or "
            "worse on other faces. Collect more, and check the model on photographs that it has not seen"
        )
    return lines


def _quantize(run: Path, data: Path) -> str:
    """The command that makes a bundle of a training."""
    return shlex.join(["fer-quantize", str(run / "model.keras"), "--data", str(data), "--check"])
