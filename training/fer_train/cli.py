"""`fer-train`: from labelled faces to a Keras model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.console import run_app
from fer_edge.cli.general import Debug, Version, build, new_app
from fer_edge.cli.options import default
from fer_edge.errors import ConfigError

app = new_app("Train facial expression models.")

_DATA = "fer2013.csv, the folder that holds it, or a folder of <split>/<class>/<image> or <class>/<image>."
_RECIPES = "the recipe's"
_LABELS = "The label set: fer2013, ferplus7 or ferplus8."


def _recipes(incomplete: str) -> list[str]:
    from fer_train.recipes import shipped_recipes

    return [name for name in shipped_recipes() if name.startswith(incomplete)]


Data = Annotated[Path, typer.Option(metavar="PATH", envvar="FER_DATA", help=_DATA)]
RecipeName = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="A shipped recipe (see fer-train recipes), or a TOML file.",
        autocompletion=_recipes,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change any other value of the recipe. May be repeated."),
]
PrecisionName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What a step computes in: auto (the fastest here), float32, mixed_bfloat16 or mixed_float16.",
    ),
]


@app.callback()
def main(_debug: Debug = False, _version: Version = False) -> None:
    """Train facial expression models."""


@app.command("distill", help="Train a network by a recipe on the answers of larger networks, besides the labels.")
@app.command("fit", help="Train a network by a recipe.")
def fit(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the model, its history and its report.")],
    recipe: RecipeName = "edge",
    labels: Annotated[str | None, typer.Option(metavar="NAME", help=default(_LABELS, _RECIPES))] = None,
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
            metavar="PATH",
            help=default("Initialise the weights from this model, or training's folder.", "from scratch"),
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
    """Train a network, with or without teachers."""
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
    from fer_train.runs.resume import check

    check(out, resume)  # at once, not after the seconds that the data and Keras take to load
    faces, watched = (load_fold if chosen.hold_out else load_both)(data, chosen.schemes, chosen.votes)
    load_keras()
    from fer_train.export import export_h5
    from fer_train.runs.records import model_in
    from fer_train.training.distributed import parse_coordinator
    from fer_train.training.fit import fit as train
    from fer_train.training.precision import parse_precision
    from fer_train.training.progress import EpochProgress

    together = parse_coordinator(workers, worker, coordinator)
    with EpochProgress(chosen.labels) as progress:
        model = train(
            faces,
            watched,
            chosen,
            out,
            resume=resume,
            precision=parse_precision(precision),
            teachers=teachers or (),
            init=model_in(init) if init and init.is_dir() else init,
            freeze=freeze or (),
            callbacks=[progress],
            coordinator=together,
        )
    if model is None:
        typer.echo(f"worker {worker}: done. Worker 0 saves the model")
        return
    if h5:
        export_h5(model, out)
    typer.echo(f"{out / 'model.keras'}: trained. Next: {_quantize(out, data)}")


@app.command()
def average(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of two or more finished trainings.")
    ],
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


@app.command()
def architectures() -> None:
    """List the networks with their parameters and multiply-accumulates (MACs) per face."""
    from rich.console import Console
    from rich.table import Table

    from fer_train.backend import load_keras

    load_keras()
    from fer_train.architectures import ARCHITECTURES, build, count_macs

    table = Table("name", "parameters", "million MACs per face", "source")
    for name, architecture in ARCHITECTURES.items():
        model = build(name, classes=7)
        table.add_row(name, f"{model.count_params():,}", f"{count_macs(model) / 1e6:.1f}", architecture.source)
    Console().print(table)


@app.command()
def recipes() -> None:
    """List the shipped recipes."""
    from fer_train.recipes import shipped_recipes

    for name, path in shipped_recipes().items():
        comment = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        typer.echo(f"{name}: {comment}")


@app.command()
def composites(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="PNG to write: seven grey faces side by side.")],
    labels: Annotated[str, typer.Option(metavar="NAME", help="The label set: fer2013 or ferplus7.")] = "fer2013",
    most_similar: Annotated[
        int, typer.Option(min=2, metavar="N", help="Faces per class that are averaged: those most alike.")
    ] = 200,
) -> None:
    """Average the training faces of each class, for the demo: pictures of nobody."""
    from fer_train.data.composites import composite_atlas, write_atlas
    from fer_train.data.datasets import load_dataset, parse_scheme

    if labels not in {"fer2013", "ferplus7"}:
        raise ConfigError(f"labels '{labels}': the demo wants seven classes. Choose fer2013 or ferplus7")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}")
    faces = load_dataset(data, "train", parse_scheme(labels))
    write_atlas(composite_atlas(faces, most_similar), out)
    typer.echo(f"{out}: written")


ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A .keras, .h5 or .tflite file, a training's folder, or a bundle's folder or name."
    ),
]
DataPath = Annotated[Path, typer.Argument(metavar="DATA", envvar="FER_DATA", help=_DATA)]
Labels = Annotated[
    str | None, typer.Option(metavar="NAME", help=default(_LABELS, "the one that the model was trained on"))
]
SplitName = Annotated[
    str, typer.Option("--split", metavar="NAME", help="The faces to measure on: train, validation, test or held-out.")
]
VotesName = Annotated[
    str,
    typer.Option(
        "--votes",
        metavar="NAME",
        help="How FER+'s votes become labels: soft (shares of the votes), plurality (the class with most votes), or "
        "majority (the class with more than half of them; other faces are left out).",
    ),
]


@app.command()
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


@app.command("prior")
def prior_curve(
    model: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, by name or folder.")],
    data: DataPath,
    labels: Labels = None,
    split: SplitName = "validation",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write prior.md and prior.png there.")] = None,
) -> None:
    """Measure what each power of the training prior gives to rare expressions and costs the others."""
    from rich.console import Console
    from rich.table import Table

    from fer_train.data.holdout import load_split
    from fer_train.evaluation.evaluate import parse_split
    from fer_train.evaluation.predictors import open_predictor
    from fer_train.evaluation.prior_curve import cells, headings, measure_curve, write_curve

    part, scheme = parse_split(split), open_predictor(model, labels).scheme
    curve = measure_curve(model, load_split(data, part, scheme))
    table = Table(*headings(curve), title=curve.title)
    for point in curve.points:
        table.add_row(*cells(curve, point))
    Console().print(table)
    for path in write_curve(curve, out) if out else ():
        typer.echo(f"{path}: written")


@app.command()
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


@app.command()
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras or .h5 file.")],
    out: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder for model.h5, architecture.json and model.weights.h5.")
    ],
) -> None:
    """Write a Keras model as .h5, and as separate files of architecture and weights."""
    from fer_train.backend import load_keras

    load_keras()
    from fer_train.export import export_h5
    from fer_train.keras_models import load_model

    export_h5(load_model(model), out)
    typer.echo(f"{out}: written")


@app.command()
def explore(
    data: Annotated[Path, typer.Argument(metavar="DATA", envvar="FER_DATA", help=_DATA)],
    labels: Annotated[str, typer.Option(metavar="NAME", help=_LABELS)] = "fer2013",
    votes: VotesName = "soft",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a contact sheet, a histogram and the list of odd pictures there."),
    ] = None,
) -> None:
    """Show what a data set holds: images per class, duplicates, odd pictures and files that cannot be read."""
    from fer_train.data.datasets import parse_scheme, parse_votes
    from fer_train.explore.exploration import explore as look
    from fer_train.explore.report import print_exploration, write_exploration

    found = look(data, parse_scheme(labels), parse_votes(votes))
    print_exploration(found)
    for path in write_exploration(found, out) if out else ():
        typer.echo(f"{path}: written")


@app.command()
def crop(
    photographs: Annotated[
        Path, typer.Argument(metavar="PHOTOGRAPHS", help="Folder with a folder of photographs for each class.")
    ],
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder for the faces: the data of fit.")],
    validation: Annotated[
        float, typer.Option(min=0, max=0.5, metavar="X", help="Fraction of the faces to validate on.")
    ] = 0.2,
) -> None:
    """Crop the faces of your own photographs as fer-edge does, to train on them."""
    from fer_edge.model.bundle import DEFAULT_MODEL, find_bundle
    from fer_train.explore.crop import crop_photographs
    from fer_train.explore.crop_report import print_photographs, with_progress
    from fer_train.runs.records import KERAS_FILE

    print_photographs(crop_photographs(photographs, out, validation, with_progress))
    shipped = find_bundle(DEFAULT_MODEL) / KERAS_FILE
    start = ["--init", str(shipped)] if shipped.is_file() else []
    fitting = shlex.join(
        ["fer-train", "fit", "--data", str(out), "--recipe", "photographs", *start, "--out", "runs/mine"]
    )
    typer.echo(f"{out}: written. Next: {fitting}")
    if not start:
        typer.echo(
            f"With few photographs add --init and the {KERAS_FILE} of {DEFAULT_MODEL} from the project's sources."
        )


@app.command()
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


def _quantize(run: Path, data: Path) -> str:
    """The command that makes a bundle of a training."""
    return shlex.join(["fer-quantize", str(run / "model.keras"), "--data", str(data), "--check"])


def run() -> None:
    """Entry point."""
    run_app(build(app))
