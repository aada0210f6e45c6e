"""`fer-quantize`: convert a Keras model to an int8 bundle and measure it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.console import run_app
from fer_edge.cli.general import Debug, Version, build, new_app
from fer_edge.cli.options import default
from fer_edge.errors import ConfigError

app = new_app("Convert a Keras model to int8 and measure it.", no_args_is_help=False)


@app.command()
def quantize(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help=default(
                "A .keras file, or a training's folder, to convert; or a bundle, by name or folder, to check as it is.",
                "ferplus7",
            ),
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            envvar="FER_DATA",
            help="fer2013.csv, the folder that holds it, or a folder of <split>/<class>/<image>.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help=default("Folder of the bundle to write.", "bundle, beside the model")),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=default("The label set: fer2013, ferplus7 or ferplus8.", "the one that the model was trained on"),
        ),
    ] = None,
    representative: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of training faces in the representative data set.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed that chooses those faces.")] = 0,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing and exit 1 if int8 loses more than --max-drop or --max-class-drop, or if the model is "
            "no better than always giving the same answer.",
        ),
    ] = False,
    max_drop: Annotated[
        float, typer.Option(min=0, metavar="X", help="Percentage points of accuracy that int8 may lose.")
    ] = 0.5,
    max_class_drop: Annotated[
        float,
        typer.Option(
            min=0, metavar="X", help="Percentage points of recall that a class may lose. One face may always be lost."
        ),
    ] = 2.0,
    min_accuracy: Annotated[
        float,
        typer.Option(min=0, max=100, metavar="PERCENT", help="With --check: the lowest accuracy that passes."),
    ] = 0.0,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            help="Compare with this bundle on the same faces; with --check it must not be better (McNemar's test).",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help=default("Licence for the model's card.", "that of the training data")),
    ] = None,
    int16: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Give this layer 16-bit activations. May be repeated.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Only report the error that int8 adds in each layer.")
    ] = False,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only measure this mode: int8, int16x8, float16, dynamic, float32 or all. May be repeated.",
        ),
    ] = None,
    add_prior: Annotated[
        bool, typer.Option("--add-prior", help="Only write the training prior into the model.json of a bundle.")
    ] = False,
    add_reference: Annotated[
        bool,
        typer.Option(
            "--add-reference",
            help="Only write into the model.json of a bundle what validation faces look like, for drift on devices.",
        ),
    ] = False,
    _debug: Debug = False,
    _version: Version = False,
) -> None:
    """Convert a Keras model to a full-int8 TFLite bundle, and compare float and int8 on the validation split."""
    if data is None:
        raise ConfigError(
            "no data set. Give --data (or FER_DATA) the folder with fer2013.csv, and fer2013new.csv for FER+ labels: "
            "the first is Kaggle's 'Challenges in Representation Learning' data, the second is in Microsoft's FERPlus"
        )
    from fer_train.backend import load_keras

    load_keras("tensorflow")  # the converter is TensorFlow's
    from fer_edge.model.bundle import DEFAULT_MODEL
    from fer_quantize.convert import parse_modes, separate_converter
    from fer_quantize.gate import Limits
    from fer_quantize.inputs import open_origin
    from fer_quantize.report import print_layers, print_modes, print_outcome
    from fer_quantize.workflow import check_bundle, convert_model

    context.with_resource(separate_converter())
    limits = Limits(max_drop, max_class_drop, min_accuracy) if check else None
    modes = parse_modes(mode or [])
    if add_prior or add_reference:
        alone = not (labels or layers or modes or int16 or out or check or (add_prior and add_reference))
        (_add_prior if add_prior else _add_reference)(model or DEFAULT_MODEL, data, alone=alone)
        return
    trained = _trained_model(model)
    if not trained:
        if layers or modes or int16 or out or licence:
            raise ConfigError(
                "--layers, --mode, --int16, --out and --licence need a .keras file, such as a bundle's own model.keras"
            )
        outcome = check_bundle(model or DEFAULT_MODEL, data, labels, limits, against=against)
    else:
        if (layers or modes) and (check or int16 or out or against):
            raise ConfigError("--layers and --mode only report: leave out --check, --against, --int16 and --out")
        origin = open_origin(trained, data, labels, representative, seed)
        if layers:
            print_layers(origin)
        if modes:
            print_modes(origin, modes)
        if layers or modes:
            return
        folder = out or trained.parent / "bundle"
        outcome = convert_model(origin, folder, int16 or [], limits, against=against, licence=licence)
    print_outcome(outcome)
    if outcome.refusal:
        raise typer.Exit(1)


def _trained_model(model: str | None) -> Path | None:
    """The Keras file that was named, itself or by the folder of its training; None for a bundle."""
    from fer_train.runs.records import trained_model

    if model is None:
        return None
    path = Path(model)
    return path if path.suffix in {".keras", ".h5"} else trained_model(path)


def _add_prior(model: str, data: Path, *, alone: bool) -> None:
    from fer_quantize.training_prior import add_prior

    if model.endswith((".keras", ".h5")) or not alone:
        raise ConfigError("--add-prior takes a bundle and --data only: a conversion writes the prior by itself")
    typer.echo(f"{add_prior(model, data)}: prior written")


def _add_reference(model: str, data: Path, *, alone: bool) -> None:
    from fer_quantize.reference import add_reference
    from fer_quantize.report import print_trials

    if model.endswith((".keras", ".h5")) or not alone:
        raise ConfigError("--add-reference takes a bundle and --data only: a conversion writes the reference by itself")
    folder, reference, trials = add_reference(model, data)
    print_trials(trials)
    typer.echo(f"{folder}: reference of {reference.faces} faces written")


def run() -> None:
    """Entry point."""
    run_app(build(app), extra="train")
