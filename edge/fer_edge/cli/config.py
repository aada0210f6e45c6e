"""`fer-edge config`: print a configuration with every key, check a file, show the values in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from fer_edge.cli.options import ConfigOption, keyed
from fer_edge.cli.run import overrides
from fer_edge.terminal import printable


def config(
    context: typer.Context,
    default: Annotated[
        bool, typer.Option("--default", help="Print a file with every key, its default, unit and meaning.")
    ] = False,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check the keys and values of a file. Exit 2 if one is wrong.")
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--show", help="Show the value in force of each key and where it comes from. Takes the options of run, too."
        ),
    ] = False,
    file: ConfigOption = None,
) -> None:
    """Print a configuration with every key, check a file, or show the values in force.

    With --default, --config FILE keeps the values of FILE, so that an old file gets the new keys.
    """
    from fer_edge.errors import ConfigError

    if [default, bool(check), show].count(True) != 1:
        raise ConfigError("give one of --default, --check FILE and --show")
    if context.args and not show:
        raise ConfigError(f"{context.args[0]}: only --show takes the options of fer-edge run")
    if show:
        _show(context, file)
    elif check:
        _check(check)
    else:
        _print_default(file)


def _print_default(file: Path | None) -> None:
    from fer_edge.config import load_config
    from fer_edge.config.loading import read_toml
    from fer_edge.config.template import template

    load_config(file, {})
    typer.echo(template(read_toml(file) if file else {}), nl=False)


def _check(file: Path) -> None:
    from fer_edge.config import load_config

    load_config(file, {})
    typer.echo(f"{printable(str(file))}: every key and value is known. Whether it can run: fer-edge service check")


def _show(context: typer.Context, file: Path | None) -> None:
    from fer_edge.config.origin import settings_in_force

    root = context.find_root()
    assert isinstance(root.command, TyperGroup)  # noqa: S101 - for the type checker
    run_command = root.command.commands["run"]
    parameters = run_command.make_context("run", list(context.args)).params
    values, options = keyed(overrides(parameters))
    for setting in settings_in_force(file, values, options):
        line = f"{setting.key} = {setting.value}" if setting.value else f"#{setting.key} is not set"
        typer.echo(f"{printable(line):44}  # {printable(setting.origin)}")
