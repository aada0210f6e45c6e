"""`fer-edge drift`: compare what the device sees now with its first week."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.json_output import JsonCommand, JsonOption, write_json
from fer_edge.cli.options import ConfigOption, default, load

if TYPE_CHECKING:
    from fer_edge.model.reference import Reference
    from fer_edge.monitoring.drift import DriftReport
    from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy

drift = new_app("Show whether what the device sees has changed since its first week.")

RecordArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="RECORD", help=default("A usage record.", "usage.path of the configuration"), show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """What is known of recent faces, all from the last two days.

    Attributes:
        since_reference_week: drift since the device's reference week.
        from_measured_faces: drift from the faces that the model was measured on; None without a reference.
        expected_accuracy: None without a reference, or with too few faces.
    """

    since_reference_week: DriftReport
    from_measured_faces: DriftReport | None = None
    expected_accuracy: ExpectedAccuracy | None = None


@drift.command("show", cls=JsonCommand)
def show(record: RecordArgument = None, json_target: JsonOption = None, config: ConfigOption = None) -> None:
    """Compare the last two days with the reference week, and with the faces that the model was measured on.

    Exit 1 if a feature has drifted since the reference week.
    """
    summary = summarise_drift(usage_path(record, config), config)
    if json_target is None:
        print_drift(summary)
    else:
        write_json(json.dumps(asdict(summary), indent=2), json_target)
    if summary.since_reference_week.state == "drifted":
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


def summarise_drift(path: Path, config: Path | None) -> DriftSummary:
    """Compare recent faces with both references. Raises ConfigError if the record cannot be read."""
    from fer_edge.monitoring.drift_watch import read_drift, read_expected_accuracy, read_model_drift

    now = int(time.time())
    since_reference_week = read_drift(path, now)
    reference = find_reference(path, config)
    if reference is None:
        return DriftSummary(since_reference_week)
    return DriftSummary(
        since_reference_week, read_model_drift(path, now, reference), read_expected_accuracy(path, now, reference)
    )


def print_drift(summary: DriftSummary) -> None:
    """Print drift since the reference week and from the model's own faces, and the accuracy to expect."""
    _print(summary.since_reference_week, "since the reference week")
    if summary.from_measured_faces is None:
        typer.echo("drift from the model's own faces: its bundle was not found, or has no reference")
        return
    _print(summary.from_measured_faces, "from the faces that the model was measured on")
    expected = summary.expected_accuracy
    if expected is None:
        typer.echo("expected accuracy: too few faces in the last two days")
    else:
        figures = f"{expected.accuracy:.1%} (95 % interval {expected.low:.1%} to {expected.high:.1%})"
        typer.echo(f"expected accuracy: {figures}: {expected.reason}")


def find_reference(path: Path, config: Path | None) -> Reference | None:
    """That of the model which wrote the newest rows of a record: the configured one, or a shipped one."""
    from fer_edge.errors import ModelError
    from fer_edge.model.bundle import MODEL_FILE, find_bundle, load_bundle
    from fer_edge.monitoring.expected_accuracy import usable
    from fer_edge.monitoring.store import newest_model

    newest = newest_model(path)
    if newest is None:
        return None
    for name in (load(config).model, newest[0].name):
        with suppress(ModelError):
            manifest = load_bundle(find_bundle(name)).manifest
            if manifest.files[MODEL_FILE] == newest[0].sha256:
                return usable(manifest.reference)
    return None


def _print(report: DriftReport, since: str) -> None:
    from rich.table import Table

    from fer_edge.terminal import output_console

    typer.echo(f"drift {since}: {report.state} ({report.reason})")
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
