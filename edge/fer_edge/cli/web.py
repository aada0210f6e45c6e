"""`fer-edge web`: the password of the live page."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_edge.cli.general import new_app

web = new_app("Set up the live page.")


@web.command("password")
def password(
    new: Annotated[
        str,
        typer.Option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="The new password."),
    ],
) -> None:
    """Ask for a password and print the line for the configuration. The password itself is not kept."""
    from fer_edge.errors import ConfigError
    from fer_edge.web.auth import hash_password

    if len(new) < 8:
        raise ConfigError("the password is too short: use 8 characters or more")
    typer.echo(f'[web]\npassword = "{hash_password(new)}"')


@web.callback()
def main() -> None:
    """Set up the live page."""
