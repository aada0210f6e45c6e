"""`fer-edge models wrap`: make a bundle of a TFLite model that was made elsewhere."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.options import default
from fer_edge.errors import ConfigError


class InputColour(Enum):
    """What a model's input shows."""

    GREY = "grey"
    RGB = "rgb"
    BGR = "bgr"


class OutputKind(Enum):
    """What a model's outputs are."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"


LabelsOption = Annotated[
    str, typer.Option(metavar="A,B,...", help="The classes in the order of the outputs, or a file with one per line.")
]
ColourOption = Annotated[
    InputColour | None,
    typer.Option("--input", metavar="NAME", help=default("grey, rgb or bgr.", "grey with one channel, rgb with three")),
]
OutputsOption = Annotated[
    OutputKind | None, typer.Option(metavar="NAME", help=default("probabilities or logits.", "found out"))
]


def wrap_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="Float or int8, one face in, one row out.")],
    labels: LabelsOption,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help=default("Folder of the bundle to write.", "MODEL"))
    ] = None,
    colour: ColourOption = None,
    mean: Annotated[
        str | None,
        typer.Option(metavar="X[,X,X]", help="The model sees (level - mean) / scale, with levels from 0 to 255."),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(metavar="X[,X,X]", help="A float model needs it: 1, 255, or for -1 to 1 127.5 with --mean 127.5."),
    ] = None,
    outputs: OutputsOption = None,
    crop_margin: Annotated[
        float,
        typer.Option(min=0, max=1.9, metavar="X", help="Margin around the face, as a fraction of the crop's width."),
    ] = 0.0,
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="The model's licence, for its card.")
    ] = "unknown: the model was made elsewhere",
    model_version: Annotated[str, typer.Option(metavar="TEXT", help="The model's version, for its card.")] = "1",
) -> None:
    """Make a bundle of a TFLite model that was made elsewhere, so that fer-edge runs it."""
    from fer_edge.model.wrap import Wish, wrap

    wish = Wish(
        labels=parse_labels(labels),
        colour=colour.value if colour else None,
        mean=parse_numbers("--mean", mean) if mean else None,
        scale=parse_numbers("--scale", scale) if scale else None,
        outputs=outputs.value if outputs else None,
        crop_margin=crop_margin,
        licence=licence,
        version=model_version,
    )
    folder = out or model.with_suffix("")
    wrapped = wrap(model, folder, wish)
    manifest = wrapped.bundle.manifest
    height, width, channels = manifest.input_shape
    seen = manifest.preprocessing
    typer.echo(
        f"{folder}: {height}x{width} {seen.colour}, {channels} channel{'s' if channels > 1 else ''}, {wrapped.dtype}; "
        f"(level - {_text(seen.mean)}) / {_text(seen.scale)}; {seen.outputs} of {len(manifest.labels)} classes"
    )
    if wrapped.known:
        tell_agreement(wrapped.same, wrapped.known)
    typer.echo(f"Next: fer-edge run --model {folder}")


def tell_agreement(same: int, known: int) -> None:
    """Print how many of the composite faces get their own label, and what to check if they are few."""
    typer.echo(f"{same} of {known} composite faces get their own label")
    if 2 * same < known:
        typer.echo("That is few: check the order of --labels, and --mean and --scale")


def parse_labels(text: str) -> tuple[str, ...]:
    """Class names of a list with commas, or of a text file. Raises ConfigError."""
    if "," not in text:
        try:
            text = ",".join(Path(text).read_text(encoding="utf-8-sig").splitlines())
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"--labels {text}: is neither a list such as angry,happy,sad nor a text file") from None
    return tuple(label.strip() for label in text.strip().strip(",").split(","))


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """One number, or several with commas. Raises ConfigError, which names the option."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"{option} {text}: expected a number, or three as in 123.7,116.8,103.9") from None


def _text(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
