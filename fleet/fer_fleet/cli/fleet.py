"""Commands that look at the devices of a fleet."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from fer_edge.cli.json_output import JsonOption, require_json_target, write_json
from fer_fleet.cli.broker_options import BrokerOption, CafileOption, UserOption, broker_config, tell_refused
from fer_fleet.cli.options import now


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
