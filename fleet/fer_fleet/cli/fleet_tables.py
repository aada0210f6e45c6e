"""Tables of devices, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from fer_edge.terminal import output_console
from fer_edge.updates.fleet_messages import DeviceState
from fer_fleet.progress import VersionProgress, is_silent
from fer_fleet.usage import Device


def devices_table(states: Sequence[DeviceState], total: int, now: datetime) -> None:
    """Print the state of devices, one per row."""
    table = Table()
    for heading in ("device", "state", "model", "trial", "FPS", "drift", "expected", "heard", "remarks"):
        table.add_column(heading, overflow="fold")
    for state in states:
        table.add_row(
            state.id,
            _state(state, now),
            escape(state.model),
            _trial(state),
            f"{state.fps:g}",
            escape(state.drift),
            "" if state.expected_accuracy is None else f"{state.expected_accuracy:.0f} %",
            _age(state, now),
            escape("; ".join(filter(None, (state.problem, state.decision)))),
        )
    console = output_console()
    console.print(table)
    console.print(f"{len(states)} of {total} devices")


def progress_table(progress: Sequence[VersionProgress]) -> None:
    """Print how the trials of each version went."""
    table = Table()
    for heading in ("model", "runs on", "on trial", "passed", "failed", "failed, %", "most frequent reason"):
        table.add_column(heading, overflow="fold")
    for each in progress:
        ended = each.passed + each.failed
        table.add_row(
            escape(each.model),
            str(each.running),
            str(each.on_trial),
            str(each.passed),
            f"[red]{each.failed}[/]" if each.failed else "0",
            f"{100 * each.failed / ended:.1f}" if ended else "",
            escape(next(iter(each.reasons), "")),
        )
    output_console().print(table)


def usage_table(devices: Sequence[Device]) -> None:
    """Print how devices compare."""
    table = Table()
    for heading in ("device", "days", "people", "faces, h", "confidence", "brightness", "model", "remarks"):
        table.add_column(heading, overflow="fold")
    for device in devices:
        table.add_row(
            device.name,
            str(device.days),
            str(device.people),
            f"{device.face_s / 3600:.1f}",
            "" if device.confidence is None else f"{device.confidence:.2f}",
            "" if device.brightness is None else f"{device.brightness:.0f}",
            escape(device.model),
            f"[red]{', '.join(device.remarks)}[/]" if device.remarks else "",
        )
    output_console().print(table)


def usage_json(devices: Sequence[Device]) -> str:
    """What `collect` prints, as JSON."""
    return json.dumps([asdict(device) for device in devices], indent=2)


def status_json(states: Sequence[DeviceState], progress: Sequence[VersionProgress], now: datetime) -> str:
    """What `status` prints, as JSON."""
    devices = [{**state.model_dump(mode="json"), "silent": is_silent(state, now)} for state in states]
    return json.dumps({"devices": devices, "versions": [asdict(each) for each in progress]}, indent=2)


def _state(state: DeviceState, now: datetime) -> str:
    if is_silent(state, now):
        return "[red]silent[/]"
    if not state.running:
        return "stopped"
    if not state.camera:
        return "[red]no camera[/]"
    return "[yellow]problem[/]" if state.problem else "[green]runs[/]"


def _trial(state: DeviceState) -> str:
    if state.on_trial:
        return escape(f"{state.on_trial.rpartition('@')[2]} on trial")
    last = state.trials[-1] if state.trials else None
    if last is None:
        return ""
    version = escape(last.model.rpartition("@")[2])
    return f"{version} passed" if last.passed else f"[red]{version} failed[/]"


def _age(state: DeviceState, now: datetime) -> str:
    minutes = max((now - state.time).total_seconds(), 0) / 60
    for length, unit in ((1440, "d"), (60, "h"), (1, "min")):
        if minutes >= length:
            return f"{minutes // length:.0f} {unit} ago"
    return "now"
