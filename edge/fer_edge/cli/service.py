"""`fer-edge service`: the state of the installed service, its journal, and a check whether it could start."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.json_output import JsonCommand, JsonOption, write_json
from fer_edge.cli.options import ConfigOption, default
from fer_edge.terminal import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_edge.config import RunConfig
    from fer_edge.device.service import ServiceState
    from fer_edge.device.unit import Unit

service = new_app("Show the state and the journal of the installed service, or check whether it could start.")

NameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help=default("The instance fer-edge@NAME.", "the service and all instances"),
        show_default=False,
    ),
]


@service.command("status", cls=JsonCommand)
def service_status(name: NameArgument = None, json_target: JsonOption = None) -> None:
    """Show the state of the service and its instances on one screen. Exit 1 if one is not running."""
    from fer_edge.device.service import service_state

    states = [service_state(unit) for unit in _units(name)]
    if json_target is None:
        _print_status(states)
    else:
        write_json(json.dumps([_as_dict(state) for state in states], indent=2), json_target)
    if not all(state.runs for state in states):
        raise typer.Exit(1)


def _print_status(states: Sequence[ServiceState]) -> None:
    from fer_edge.cli.tables import journal_lines, service_table
    from fer_edge.device.service import last_warnings, may_read_journal

    units = [state.unit for state in states]
    service_table(states)
    if may_read_journal():
        journal_lines(list(last_warnings(units)))
    else:
        tell("the last warnings are in the journal, which you may not read: sudo fer-edge service status")
    for unit in units:
        for line in _missing_drop_ins(unit):
            tell(f"{unit.name}: {line}")


def _as_dict(state: ServiceState) -> dict[str, object]:
    return {
        "service": state.unit.name,
        "running": state.runs,
        "state": state.state,
        "facts": state.facts,
        "missing_drop_ins": _missing_drop_ins(state.unit),
    }


@service.command("logs")
def service_logs(
    name: NameArgument = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, metavar="N", help="How many lines to show.")] = 50,
) -> None:
    """Show the journal of the service and its instances."""
    from fer_edge.device.service import may_read_journal, show_journal
    from fer_edge.errors import ConfigError

    units = _units(name)
    if not may_read_journal():
        raise ConfigError(
            "you may not read the journal. Use sudo fer-edge service logs, or for good: "
            "sudo usermod --append --groups systemd-journal $USER, then log in again"
        )
    code = show_journal(units, lines, follow=follow)
    if code:
        raise typer.Exit(code)


@service.command("check")
def service_check(
    instance: Annotated[
        str | None, typer.Option("--instance", metavar="NAME", help="Check the instance fer-edge@NAME.")
    ] = None,
    config: ConfigOption = None,
    unit_file: Annotated[
        Path | None, typer.Option("--unit", metavar="FILE", help="A unit that is not installed yet.")
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Check only in this process, without the unit.")] = False,
) -> None:
    """Check the configuration, model and outputs with the service's user and sandbox.

    No camera is opened. Without root, the check runs in this process. Exit 1 if the unit forbids only a connection.
    """
    from fer_edge.config import load_config
    from fer_edge.device.unit import can_run_units, sandbox_of, unit_of

    unit = unit_of(instance)
    file = config or (unit.config if unit.config.is_file() and not here else None)
    _require_readable(file)
    settings = load_config(file, {})
    if here:
        _check_here(settings)
        return
    from fer_edge.cli.service_check import missing_drop_ins, refuse_hidden

    sandbox = sandbox_of(unit, unit_file)
    if sandbox:
        refuse_hidden(settings, sandbox)
    if sandbox and can_run_units():
        code = sandbox.run(*_inside(unit, file))
        if code:
            tell(
                "checked as the service would run: as the user fer-edge, who must be able to read what is named. "
                "Packages are added with sudo systemd/install.sh --extras NAME"
            )
            raise typer.Exit(code)
        how = f"as {unit.name} would run"
    else:
        _check_here(settings)
        how = "in this process, not as the service would run: that needs root and the installed unit"
    missing = list(missing_drop_ins(settings, sandbox)) if sandbox else []
    for line in missing:
        tell(f"error: {line}", error=True)
    if missing:
        raise typer.Exit(1)
    typer.echo(f"{file or 'the default configuration'} and model {settings.model} are valid (checked {how})")


def _units(name: str | None) -> list[Unit]:
    from fer_edge.device.service import installed_units
    from fer_edge.device.unit import unit_of

    return [unit_of(name)] if name else installed_units()


def _require_readable(file: Path | None) -> None:
    from fer_edge.errors import ConfigError

    if file and file.is_file() and not os.access(file, os.R_OK):
        raise ConfigError(f"{file}: only root and the service may read it. Use sudo")


def _check_here(settings: RunConfig) -> None:
    from fer_edge.cli.service_check import check_here

    check_here(settings)


def _inside(unit: Unit, file: Path | None) -> tuple[list[str], Path | None]:
    """Return the command to run in the sandbox, and the configuration to pass if it is not the service's own."""
    from fer_edge.device.unit import credential_path

    command = [sys.executable, "-P", "-m", "fer_edge", "service", "check", "--here"]
    if file is None:
        return command, None
    if file == unit.config:
        return [*command, "--config", str(file)], None
    return [*command, "--config", credential_path()], file


def _missing_drop_ins(unit: Unit) -> list[str]:
    """Return what the unit forbids, or nothing if the configuration cannot be read."""
    from fer_edge.cli.service_check import missing_drop_ins
    from fer_edge.config import load_config
    from fer_edge.device.unit import sandbox_of
    from fer_edge.errors import ConfigError

    if not os.access(unit.config, os.R_OK):
        return []
    try:
        settings, sandbox = load_config(unit.config, {}), sandbox_of(unit)
    except ConfigError:  # the journal tells
        return []
    return list(missing_drop_ins(settings, sandbox)) if sandbox else []
