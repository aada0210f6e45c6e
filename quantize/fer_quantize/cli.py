"""`fer-quantize`: from a Keras model to an int8 bundle that was measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from fer_edge.console import Debug, run_app, set_up
from fer_edge.errors import ConfigError

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def quantize(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A .keras file to convert; or a bundle (name or folder) to check as it is. [default: the shipped one]",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(envvar="FER_DATA", help="fer2013.csv, the folder that holds it, or <split>/<class>/<image>."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the bundle to write. [default: bundle, beside the model]")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="fer2013, ferplus7 or ferplus8. [default: those it was trained on]")
    ] = None,
    representative: Annotated[int, typer.Option(min=1, help="Training faces that set the int8 ranges.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Chooses those faces.")] = 0,
    check: Annotated[bool, typer.Option("--check", help="Exit 1, and write nothing, if int8 loses too much.")] = False,
    max_drop: Annotated[float, typer.Option(help="Percentage points that int8 may lose.")] = 0.5,
    debug: Debug = False,
) -> None:
    """Convert a Keras model to a full-int8 TFLite bundle, and measure float against int8 on the validation split."""
    set_up(debug)
    if data is None:
        raise ConfigError(
            "no data set. Give --data (or FER_DATA) the folder with fer2013.csv, and fer2013new.csv for FER+ labels: "
            "the first is Kaggle's 'Challenges in Representation Learning' data, the second is in Microsoft's FERPlus"
        )
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the converter is TensorFlow's
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from fer_quantize.quiet import quiet

    with quiet():
        import keras  # noqa: F401 - it brings TensorFlow, which talks while it loads

    from fer_edge.bundle import DEFAULT_MODEL

    from fer_quantize.report import print_comparison
    from fer_quantize.steps import check_bundle, convert_model

    if model and model.endswith((".keras", ".h5")):
        outcome = convert_model(
            Path(model),
            data,
            out or Path(model).parent / "bundle",
            labels,
            representative=representative,
            seed=seed,
            max_drop=max_drop if check else None,
        )
    else:
        outcome = check_bundle(model or DEFAULT_MODEL, data, labels, max_drop)
    print_comparison(outcome)
    if check and outcome.refusal:
        raise typer.Exit(1)


def run() -> None:
    """Entry point."""
    run_app(app)
