"""`fer-train explore`, `crop` and `composites`: inspect data, and make data sets and composite faces."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.errors import ConfigError
from fer_train.cli.options import LABELS_HELP, Data, DataPath, VotesName


def explore(
    data: DataPath,
    labels: Annotated[str, typer.Option(metavar="NAME", help=LABELS_HELP)] = "fer2013",
    votes: VotesName = "soft",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a contact sheet, a histogram and the list of unusual images there."),
    ] = None,
) -> None:
    """Show what a data set holds: images per class, duplicates, unusual images and files that cannot be read."""
    from fer_train.data.datasets import parse_scheme, parse_votes
    from fer_train.explore.exploration import explore as look
    from fer_train.explore.report import print_exploration, write_exploration

    found = look(data, parse_scheme(labels), parse_votes(votes))
    print_exploration(found)
    for path in write_exploration(found, out) if out else ():
        typer.echo(f"{path}: written")


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
    start = DEFAULT_MODEL if (find_bundle(DEFAULT_MODEL) / KERAS_FILE).is_file() else f"models/{DEFAULT_MODEL}"
    fitting = shlex.join(
        ["fer-train", "fit", "--data", str(out), "--recipe", "photographs", "--init", start, "--out", "runs/mine"]
    )
    typer.echo(f"{out}: written. Next: {fitting}")
    if start != DEFAULT_MODEL:
        typer.echo(f"{start} is in a clone of fer-edge's repository: installed packages leave its {KERAS_FILE} out.")


def composites(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="PNG to write: seven grey faces side by side.")],
    labels: Annotated[str, typer.Option(metavar="NAME", help="The label set: fer2013 or ferplus7.")] = "fer2013",
    most_similar: Annotated[
        int, typer.Option(min=2, metavar="N", help="Number of faces per class to average: the most similar.")
    ] = 200,
) -> None:
    """Average the training faces of each class, for the demo: composite faces that show no real person."""
    from fer_train.data.composites import composite_atlas, write_atlas
    from fer_train.data.datasets import load_dataset, parse_scheme

    if labels not in {"fer2013", "ferplus7"}:
        raise ConfigError(f"labels '{labels}': the demo needs seven classes. Choose fer2013 or ferplus7")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}")
    faces = load_dataset(data, "train", parse_scheme(labels))
    write_atlas(composite_atlas(faces, most_similar), out)
    typer.echo(f"{out}: written")
