"""`fer-train`: from labelled faces to a Keras model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.console import Debug, run_app, set_up
from fer_edge.errors import ConfigError

app = typer.Typer(
    help="Train facial expression models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path,
    typer.Option(
        envvar="FER_DATA", help="fer2013.csv, the folder that holds it, or a folder of <split>/<class>/<image>."
    ),
]


RecipeName = Annotated[str, typer.Option(help="A shipped recipe (see fer-train recipes), or a TOML file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other value of the recipe.")
]

PrecisionName = Annotated[str, typer.Option(help="auto (the fastest here), float32, mixed_bfloat16 or mixed_float16.")]


@app.callback()
def main(debug: Debug = False) -> None:
    """Train facial expression models."""
    set_up(debug)


@app.command("distill", help="Train a small network by a recipe on what larger ones say, besides the labels.")
@app.command("fit", help="Train a network by a recipe.")
def fit(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(help="New folder for the model, its history and its report.")],
    recipe: RecipeName = "edge",
    labels: Annotated[str | None, typer.Option(help="fer2013, ferplus7 or ferplus8.")] = None,
    architecture: Annotated[str | None, typer.Option(help="See fer-train architectures.")] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the schedule.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    overrides: Overrides = None,
    precision: PrecisionName = "auto",
    teachers: Annotated[
        list[Path] | None,
        typer.Option("--teacher", help="A model, or the folder of a training, to learn from; repeat for more."),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Start from the weights of this model, or training's folder.")
    ] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(help="Layers that keep --init's weights: trunk, or names with * and ?.")
    ] = None,
    h5: Annotated[bool, typer.Option("--export-h5", help="Write the older formats too; see fer-train export.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
    workers: Annotated[int | None, typer.Option(min=2, help="So many processes train together, on JAX.")] = None,
    worker: Annotated[int | None, typer.Option(min=0, help="Which of them this one is, from 0.")] = None,
    coordinator: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where worker 0 is reached.")] = None,
) -> None:
    """Train a network, with or without teachers."""
    from fer_train.recipes import load_recipe

    if context.info_name == "distill" and not teachers:
        raise ConfigError("distill: nobody to learn from. Give --teacher")
    if freeze and not init:
        raise ConfigError("--freeze: fresh weights are not worth keeping. Give --init too")
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

    together = parse_coordinator(workers, worker, coordinator)
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
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of finished trainings.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="New folder for the model and its report.")],
) -> None:
    """Average the weights of trainings that began with one another's, all heads; often better than each of them."""
    from fer_train.runs.records import common_recipe
    from fer_train.runs.resume import check

    if len(runs) == 1:
        raise ConfigError("average: one training is its own mean. Name another")
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
    """List the networks with their size and work."""
    from rich.console import Console
    from rich.table import Table

    from fer_train.backend import load_keras

    load_keras()
    from fer_train.architectures import ARCHITECTURES, build, count_macs

    table = Table("name", "parameters", "million MACs a face", "source")
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
    out: Annotated[Path, typer.Option(help="PNG to write: seven grey faces side by side.")],
    labels: Annotated[str, typer.Option(help="fer2013 or ferplus7.")] = "fer2013",
    most_similar: Annotated[int, typer.Option(min=2, help="Faces of a class that are averaged.")] = 200,
) -> None:
    """Average the training faces of each class into pictures of nobody, for the demo."""
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
        metavar="MODEL", help="A .keras, .h5 or .tflite file, a training's folder, a bundle's folder or name."
    ),
]
DataPath = Annotated[Path, typer.Argument(metavar="DATA", envvar="FER_DATA", help="As for fit.")]
Labels = Annotated[
    str | None, typer.Option(help="fer2013, ferplus7 or ferplus8. [default: those the model was trained on]")
]
SplitName = Annotated[str, typer.Option("--split", help="train, validation, test or held-out.")]
VotesName = Annotated[str, typer.Option("--votes", help="What FER+'s votes become: soft, plurality or majority.")]


@app.command()
def evaluate(
    model: ModelName,
    data: DataPath,
    labels: Labels = None,
    split: SplitName = "validation",
    votes: VotesName = "soft",
    out: Annotated[Path | None, typer.Option(help="Folder for a report with pictures.")] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Also read each face together with its mirror image.")
    ] = False,
    prior: Annotated[
        float, typer.Option(min=0, max=1, help="Bundles: as [classifier] prior, which is 0.15 unless told otherwise.")
    ] = 0.0,
) -> None:
    """Measure how good a model is."""
    from fer_train.data.datasets import parse_votes
    from fer_train.data.holdout import load_split
    from fer_train.evaluation.evaluate import evaluate as judge
    from fer_train.evaluation.evaluate import parse_split
    from fer_train.evaluation.predictors import open_predictor

    part, opened = parse_split(split), open_predictor(model, labels, prior)
    judge(opened, load_split(data, part, opened.scheme, parse_votes(votes)), out, mirror=mirror)


@app.command("prior")
def prior_curve(
    model: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder or name.")],
    data: DataPath,
    labels: Labels = None,
    split: SplitName = "validation",
    out: Annotated[Path | None, typer.Option(help="Folder for prior.md and prior.png.")] = None,
) -> None:
    """Measure what each value of [classifier] prior gives to rare expressions, and costs the others."""
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
    out: Annotated[Path | None, typer.Option(help="Folder for the table as Markdown and CSV.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of noise and directions.")] = 0,
) -> None:
    """Measure what a model loses on faces that are small, blurred, noisy, dark, light, compressed, shifted or askew."""
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
    model: Annotated[Path, typer.Argument(help="A .keras or .h5 file.")],
    out: Annotated[Path, typer.Argument(help="Folder for model.h5, architecture.json and model.weights.h5.")],
) -> None:
    """Write a Keras model as .h5, and as architecture and weights apart."""
    from fer_train.backend import load_keras

    load_keras()
    from fer_train.export import export_h5
    from fer_train.keras_models import load_model

    export_h5(load_model(model), out)
    typer.echo(f"{out}: written")


@app.command()
def explore(
    data: Annotated[Path, typer.Argument(envvar="FER_DATA", help="As for fit's --data.", show_default=False)],
    labels: Annotated[str, typer.Option(help="fer2013, ferplus7 or ferplus8.")] = "fer2013",
    votes: VotesName = "soft",
    out: Annotated[
        Path | None, typer.Option(help="Folder for a contact sheet, a histogram and the list of what is odd.")
    ] = None,
) -> None:
    """Show what a data set holds: images a class, duplicates, pictures that are odd or cannot be read."""
    from fer_train.data.datasets import parse_scheme, parse_votes
    from fer_train.explore.exploration import explore as look
    from fer_train.explore.report import print_exploration, write_exploration

    found = look(data, parse_scheme(labels), parse_votes(votes))
    print_exploration(found)
    for path in write_exploration(found, out) if out else ():
        typer.echo(f"{path}: written")


@app.command()
def crop(
    photographs: Annotated[Path, typer.Argument(help="Folder that holds a folder of photographs for each class.")],
    out: Annotated[Path, typer.Argument(help="New folder for the faces, which fit reads.")],
    validation: Annotated[float, typer.Option(min=0, max=0.5, help="Share of the faces to validate on.")] = 0.2,
) -> None:
    """Cut the faces out of your own photographs, as the runtime will, to train on them."""
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
    out: Annotated[Path, typer.Option(help="Folder for the search; one that was begun goes on.")],
    recipe: RecipeName = "edge",
    trials: Annotated[int, typer.Option(min=1, help="Until so many are finished, those given up early counted.")] = 20,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="What to search: KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C."),
    ] = None,
    overrides: Overrides = None,
    precision: PrecisionName = "auto",
) -> None:
    """Search for better values of a recipe, on training faces held out for it."""
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
    run_app(app)
