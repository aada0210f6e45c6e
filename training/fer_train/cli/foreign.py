"""`fer-train wrap`: use a Keras model that was made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.models_wrap import (
    ColourOption,
    LabelsOption,
    OutputsOption,
    parse_labels,
    parse_numbers,
    tell_agreement,
)
from fer_edge.errors import ConfigError


def wrap(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras or .h5 file, 32 to 224 pixels square.")],
    labels: LabelsOption,
    scale: Annotated[
        str,
        typer.Option(
            metavar="X[,X,X]",
            help="The model sees (level - mean) / scale, with levels from 0 to 255: 1 for levels, 255 for 0 to 1.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the model, like that of a training.")],
    mean: Annotated[str, typer.Option(metavar="X[,X,X]", help="For -1 to 1 give 127.5, and 127.5 to --scale.")] = "0",
    colour: ColourOption = None,
    outputs: OutputsOption = None,
) -> None:
    """Make a Keras model that was made elsewhere take levels, and answer in the order of our labels."""
    from fer_train.runs.records import KERAS_FILE

    if model.suffix not in {".keras", ".h5"}:
        raise ConfigError(f"{model}: is no .keras or .h5 file. For .tflite: fer-edge models wrap")
    from fer_train.backend import load_keras

    load_keras()
    from fer_train.foreign import Description, adapt

    description = Description(
        labels=parse_labels(labels),
        colour=colour.value if colour else None,
        mean=parse_numbers("--mean", mean),
        scale=parse_numbers("--scale", scale),
        outputs=outputs.value if outputs else None,
    )
    done = adapt(model, out, description)
    typer.echo(f"{out / KERAS_FILE}: {done.colour} crops in, {done.scheme} out; its outputs were {done.outputs}")
    tell_agreement(done.same, done.known)
    typer.echo(f"Next: fer-quantize {out} --data DATA --out BUNDLE")
