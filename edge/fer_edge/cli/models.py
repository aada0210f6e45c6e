"""`fer-edge models`: list and verify model bundles."""

from __future__ import annotations

from typing import Annotated

import typer

models = typer.Typer(help="List or verify model bundles.", pretty_exceptions_enable=False)


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the shipped models; with `verify`, verify one."""
    if context.invoked_subcommand:
        return
    from fer_edge.cli.tables import models_table
    from fer_edge.model.bundle import find_bundle, load_bundle, shipped_bundles

    models_table([load_bundle(find_bundle(name)) for name in shipped_bundles()])


@models.command("verify")
def verify_model(
    model: Annotated[str, typer.Argument(help="A shipped model's name or a folder.")] = "ferplus7",
) -> None:
    """Compare a bundle's hashes, and its answers on this machine with the golden ones."""
    from fer_edge.model.bundle import find_bundle
    from fer_edge.model.golden import verify

    typer.echo(verify(find_bundle(model)))
