"""`fer-edge drift`: compare what the device sees now with its first week."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.options import ConfigOption, default, load

if TYPE_CHECKING:
    from fer_edge.monitoring.drift import DriftReport

drift = new_app("Show whether what the device sees has changed since its first week.")

RecordArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="RECORD", help=default("A usage record.", "usage.path of the configuration"), show_default=False
    ),
]


@drift.command("show")
def show(record: RecordArgument = None, config: ConfigOption = None) -> None:
    """Compare the last two days with the reference week. Exit 1 if a feature has drifted."""
    from fer_edge.monitoring.drift_watch import read_drift

    report = read_drift(usage_path(record, config), int(time.time()))
    _print(report)
    if report.state == "drifted":
        raise typer.Exit(1)


@drift.command("baseline")
def baseline(record: RecordArgument = None, config: ConfigOption = None) -> None:
    """Start a new reference week now, for example after the camera was moved."""
    from fer_edge.monitoring.drift_watch import REFERENCE_DAYS, set_baseline

    path = usage_path(record, config)
    set_baseline(path, int(time.time()))
    typer.echo(f"{path}: the next {REFERENCE_DAYS} days are the new reference")


def usage_path(record: Path | None, config: Path | None) -> Path:
    """The given record, or the configured one. Raises ConfigError if there is neither."""
    from fer_edge.errors import ConfigError

    path = record or load(config).usage.path
    if path is None:
        raise ConfigError("no usage record is configured. Give its file, or --config with usage.path set")
    return path


def _print(report: DriftReport) -> None:
    from rich.table import Table

    from fer_edge.terminal import output_console

    typer.echo(f"drift: {report.state} ({report.reason})")
    if not report.features:
        return
    table = Table()
    for heading in ("feature", "reference", "now", "PSI", "by chance", "Jensen-Shannon distance"):
        table.add_column(heading, justify="left" if heading == "feature" else "right")
    for one in report.features:
        numbers = (
            f"{one.before:.3g}",
            f"{one.now:.3g}",
            f"{one.psi:.2f}",
            f"{one.by_chance:.2f}",
            f"{one.distance:.2f}",
        )
        table.add_row(one.name, *numbers)
    output_console().print(table)
