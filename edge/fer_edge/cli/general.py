"""Create command lines, with the options `--debug`, `--version` and `--help` that all commands have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from fer_edge import __version__
from fer_edge.cli.console import set_up

if TYPE_CHECKING:
    from typer._click import Command

_PANEL = "General options"


def new_app(text: str, **settings: Any) -> typer.Typer:  # noqa: ANN401 - as typer has them
    """Create a command line, or a group of commands for `add_typer`.

    Args:
        text: its help text.
        settings: other settings of typer.
    """
    return typer.Typer(
        help=text,
        rich_markup_mode="rich",
        **{"no_args_is_help": True, **settings},
    )


def build(app: typer.Typer) -> Command:
    """Build the command to run: every subcommand gets the general options too, and no flag shows a type."""
    root = get_command(app)
    general = [parameter for parameter in root.params if getattr(parameter, "rich_help_panel", None) == _PANEL]
    for command in _tree(root):
        if command is not root:
            command.params += general
        help_option = command.get_help_option(typer.Context(command, help_option_names=["--help", "-h"]))
        if help_option:
            help_option.rich_help_panel = _PANEL
            help_option.metavar = ""
        for parameter in command.params:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
    return root


def _tree(command: Command) -> Iterator[Command]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from _tree(below)


def _show_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        typer.echo(f"{context.find_root().info_name} {__version__}")
        raise typer.Exit


def _set_debug(context: typer.Context, wanted: bool) -> None:
    """Set up logging once for all commands, and again if a subcommand has `--debug`."""
    if wanted or context.parent is None:
        set_up(wanted)


Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        callback=_set_debug,
        expose_value=False,
        rich_help_panel=_PANEL,
        help="Show debug messages, and the traceback of an error.",
    ),
]
Version = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=_show_version,
        expose_value=False,
        is_eager=True,
        rich_help_panel=_PANEL,
        help="Show the version and exit.",
    ),
]
