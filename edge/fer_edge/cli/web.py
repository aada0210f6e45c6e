"""`fer-edge web`: one page for all cameras of this machine, and the password of the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.options import default
from fer_edge.cli.signals import StopSignals

web = new_app("Show all cameras of this machine on one page, or make a password.", no_args_is_help=False)


@web.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help=default("Serve the page there.", "8080"))
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file whose section \\[web] has address, password and TLS."),
    ] = None,
    folder: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the runs' sockets are: FOLDER/NAME/web.sock.")
    ] = Path("/run/fer-edge"),
) -> None:
    """Show all cameras of this machine on one page: those whose runs have web.listen = "unix"."""
    if context.invoked_subcommand is not None:
        return
    stop = StopSignals()
    from fer_edge.config import load_config
    from fer_edge.errors import MissingExtra

    settings = load_config(config, {"web.listen": listen}).web
    if settings.listen is None:
        settings = settings.model_copy(update={"listen": "8080"})
    try:
        from fer_edge.web.overview import serve_overview
    except ImportError as error:
        raise MissingExtra("the web server", "web") from error
    serve_overview(settings, folder, stop.then)


@web.command("password")
def password(
    new: Annotated[
        str,
        typer.Option(
            "--password",
            prompt="New password",
            hide_input=True,
            confirmation_prompt=True,
            show_default=False,
            metavar="PASSWORD",
            help="The new password, for scripts. A shell's history may keep it.",
        ),
    ] = "",
) -> None:
    """Ask for a password and print the line for the configuration. The password itself is not kept."""
    from fer_edge.errors import ConfigError
    from fer_edge.web.auth import hash_password

    if len(new) < 8:
        raise ConfigError("the password is too short: use 8 characters or more")
    typer.echo(f'[web]\npassword = "{hash_password(new)}"')
