"""`fer-train wrap`: use a Keras model that was made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.models_wrap import InputColour, OutputKind, parse_labels, parse_numbers
from fer_edge.cli.options import default
from fer_edge.errors import ConfigError


def wrap(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras or .h5 file, 32 to 224 pixels square.")],
    labels: Annotated[
        str,
        typer.Option(metavar="A,B,...", help="The classes in the order of the outputs, or a file with one per line."),
    ],
    scale: Annotated[
        str,
        typer.Option(
            metavar="X[,X,X]",
            help="The model sees (level - mean) / scale, with levels from 0 to 255: 1 for levels, 255 for 0 to 1.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the model, like that of a training.")],
    mean: Annotated[str, typer.Option(metavar="X[,X,X]", help="For -1 to 1 give 127.5, and 127.5 to --scale.")] = "0",
    colour: Annotated[
        InputColour | None,
        typer.Option(
            "--input", metavar="NAME", help=default("grey, rgb or bgr.", "grey with one channel, rgb with three")
        ),
    ] = None,
    outputs: Annotated[
        OutputKind | None, typer.Option(metavar="NAME", help=default("probabilities or logits.", "found out"))
    ] = None,
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
    typer.echo(f"{done.same} of {done.known} composite faces get their own label")
    if 2 * done.same < done.known:
        typer.echo("That is few: check the order of --labels, and --mean and --scale")
    typer.echo(f"Next: fer-quantize {out} --data DATA --out BUNDLE")
