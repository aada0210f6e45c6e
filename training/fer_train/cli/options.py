"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.options import default

_DATA = "fer2013.csv, the folder that holds it, or a folder of <split>/<class>/<image> or <class>/<image>."
LABELS_HELP = "The label set: fer2013, ferplus7 or ferplus8."


def _recipes(incomplete: str) -> list[str]:
    from fer_train.recipes import shipped_recipes

    return [name for name in shipped_recipes() if name.startswith(incomplete)]


Data = Annotated[Path, typer.Option(metavar="PATH", envvar="FER_DATA", help=_DATA)]
DataPath = Annotated[Path, typer.Argument(metavar="DATA", envvar="FER_DATA", help=_DATA)]
Labels = Annotated[
    str | None, typer.Option(metavar="NAME", help=default(LABELS_HELP, "the one that the model was trained on"))
]
VotesName = Annotated[
    str,
    typer.Option(
        "--votes",
        metavar="NAME",
        help="How FER+'s votes become labels: soft (probabilities), plurality (the class with most votes), or "
        "majority (the class with more than half of them; other faces are left out).",
    ),
]
SplitName = Annotated[
    str, typer.Option("--split", metavar="NAME", help="The faces to measure on: train, validation, test or held-out.")
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A .keras, .h5 or .tflite file, a training's folder, or a bundle's folder or name."
    ),
]
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
        help="Number format of a training step: auto (the fastest here), float32, mixed_bfloat16 or mixed_float16.",
    ),
]
