"""Commands that look at the devices of a fleet."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.json_output import JsonOption, require_json_target, write_json
from fer_fleet.cli.broker_options import BrokerOption, CafileOption, UserOption, broker_config, tell_refused
from fer_fleet.cli.options import now

FolderOption = Annotated[Path, typer.Option("--folder", metavar="FOLDER", help="Where these files are.")]


class Only(Enum):
    """Which devices are shown."""

    TRIAL = "trial"
    FAILED = "failed"
    SILENT = "silent"
    PROBLEM = "problem"
    DRIFTED = "drifted"


def status(
    broker: BrokerOption = None,
    user: UserOption = None,
    cafile: CafileOption = None,
    only: Annotated[
        list[Only] | None,
        typer.Option(
            metavar="WHAT", help="Only devices that are on trial, failed one, are silent, have a problem, or drifted."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Only devices that run this model: NAME or NAME@VERSION.")
    ] = None,
    json_target: JsonOption = None,
) -> None:
    """Show the devices of a fleet, and how the trials of each version went."""
    from fer_edge.updates.fleet_messages import DeviceState
    from fer_fleet.broker import read_messages
    from fer_fleet.cli.fleet_tables import devices_table, progress_table, status_json
    from fer_fleet.progress import all_progress, is_what

    if json_target:
        require_json_target(json_target)
    found, heard = read_messages(broker_config(broker, user, cafile), DeviceState)
    tell_refused(heard)
    states, moment = list(found.values()), now()
    shown = [
        state
        for state in states
        if all(is_what(state, each.value, moment) for each in only or ())
        and (model is None or model in {state.model, state.model.partition("@")[0]})
    ]
    progress = all_progress(states)
    if json_target:
        write_json(status_json(shown, progress, moment), json_target)
    if json_target != "-":
        devices_table(shown, len(states), moment)
        progress_table(progress)


def collect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A DuckDB file; made if it is absent.")],
    broker: BrokerOption = None,
    user: UserOption = None,
    cafile: CafileOption = None,
    days: Annotated[int, typer.Option(min=1, max=3660, metavar="DAYS", help="Compare so many days.")] = 28,
    json_target: JsonOption = None,
) -> None:
    """Keep the daily counts of all devices in one file, and compare the devices. Run it once per week at least."""
    from fer_edge.updates.fleet_messages import DeviceUsage
    from fer_fleet.broker import read_messages
    from fer_fleet.cli.fleet_tables import usage_json, usage_table
    from fer_fleet.usage import compare, keep

    if json_target:
        require_json_target(json_target)
    found, heard = read_messages(broker_config(broker, user, cafile), DeviceUsage)
    tell_refused(heard)
    new = keep(file, found.values())
    devices = compare(file, now().astimezone().date(), days)
    if json_target:
        write_json(usage_json(devices), json_target)
    if json_target != "-":
        usage_table(devices)
        typer.echo(f"{file}: {new} new days of {len(found)} devices")


devices = new_app("Logins of the devices at the broker.")


@devices.command("add")
def add_devices(
    names: Annotated[list[str], typer.Argument(metavar="ID...", help="Names of devices.")],
    broker: Annotated[
        str,
        typer.Option("--broker", metavar="HOST", envvar="FER_FLEET_BROKER", help="The broker, as devices reach it."),
    ],
    folder: FolderOption = Path("devices"),
    replace: Annotated[bool, typer.Option("--replace", help="Give devices that have a login a new password.")] = False,
) -> None:
    """Make a login for each device, and the files that mosquitto needs: passwords, topic rights, settings."""
    from fer_fleet.credentials import add_devices as add

    broker_config(broker, None, None)
    for login in add(folder, names, broker, replace=replace):
        if login.settings:
            typer.echo(
                f"{login.name}: settings in {login.settings}, password in {login.settings.with_suffix('.password')}"
            )
        else:
            typer.echo(f"{login.name}: the user for fer-fleet status; password {login.password}")
    typer.echo(f"{folder / 'mosquitto.conf'}: include it in mosquitto's configuration, and reload mosquitto")


@devices.command("remove")
def remove_devices(
    names: Annotated[list[str], typer.Argument(metavar="ID...", help="Names of devices.")],
    folder: FolderOption = Path("devices"),
) -> None:
    """Take the logins of devices away."""
    from fer_fleet.credentials import remove_devices as remove

    remove(folder, names)
    typer.echo(f"{', '.join(names)}: removed. Reload mosquitto")
