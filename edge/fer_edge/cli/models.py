"""`fer-edge models`: list and verify model bundles."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_edge.cli.general import new_app

models = new_app("List the models, or verify one.", no_args_is_help=False)


@models.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """List the models, or verify one. Without a command: list."""
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
    """Compare a model's files with their hashes, and its answers on this machine with those it was shipped with."""
    from fer_edge.model.bundle import find_bundle
    from fer_edge.model.golden import verify

    typer.echo(verify(find_bundle(model)))
