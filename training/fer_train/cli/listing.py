"""`fer-train recipes`, `architectures` and `export`: list recipes and networks, and export a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def recipes() -> None:
    """List the shipped recipes."""
    from fer_train.recipes import shipped_recipes

    for name, path in shipped_recipes().items():
        comment = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        typer.echo(f"{name}: {comment}")


def architectures() -> None:
    """List the networks with their parameters and multiply-accumulates (MACs) per face."""
    from rich.table import Table

    from fer_edge.terminal import output_console
    from fer_train.backend import load_keras

    load_keras()
    from fer_train.architectures import ARCHITECTURES, build, count_macs

    table = Table("name", "parameters", "million MACs per face", "source")
    for name, architecture in ARCHITECTURES.items():
        model = build(name, classes=7)
        table.add_row(name, f"{model.count_params():,}", f"{count_macs(model) / 1e6:.1f}", architecture.source)
    output_console().print(table)


def export(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A .keras or .h5 file, a training's folder or a shipped name.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder for model.h5, architecture.json and model.weights.h5.")
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx instead: grey levels in, probabilities out.")
    ] = False,
) -> None:
    """Write a Keras model as .h5 and as separate files of architecture and weights, or as ONNX."""
    from fer_train.backend import load_keras
    from fer_train.runs.records import find_keras_file

    path = find_keras_file(model)
    load_keras("tensorflow" if onnx else None)
    from fer_train.export import export_h5, export_onnx
    from fer_train.keras_models import load_model

    if onnx:
        typer.echo(f"{export_onnx(load_model(path), out)}: written")
        return
    export_h5(load_model(path), out)
    typer.echo(f"{out}: written")
