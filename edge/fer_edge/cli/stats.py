"""`fer-edge stats`: show the usage record."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_edge.cli.drift import RecordArgument, print_drift, summarise_drift, usage_path
from fer_edge.cli.json_output import JsonOption, write_json
from fer_edge.cli.options import ConfigOption, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_edge.monitoring.stats import Group

# The longest bar has this many characters.
_BAR = 24


def stats(
    record: RecordArgument = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: 7d, 36h, 2w, or a date.")] = "7d",
    by: Annotated[
        Literal["hour", "day", "week"], typer.Option(metavar="NAME", help="One row per hour, day or week.")
    ] = "day",
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows as CSV.")] = None,
    json_target: JsonOption = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plot labels and faces over time (.png, .svg or .pdf)."),
    ] = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="Show drift and the expected accuracy, too: see fer-edge drift.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Show the people and expressions that were seen, the frame rate, and losses of the camera."""
    from fer_edge.monitoring.stats import as_csv, group_rows, parse_since
    from fer_edge.monitoring.store import iterate_rows

    path = usage_path(record, config)
    begin = parse_since(since, datetime.now().astimezone())
    groups = group_rows(iterate_rows(path, int(begin.timestamp())), by)
    if csv_file is not None:
        _write(csv_file, as_csv(groups))
    if plot is not None:
        from fer_edge.monitoring.stats_plot import draw_stats

        draw_stats(groups, plot)
    if json_target is not None:
        write_json(json.dumps([group.as_dict() for group in groups], indent=2), json_target)
    elif csv_file is None and plot is None:
        _print_table(groups, path, since)
        _print_measured(load(config).samples.path)
        if drift:
            print_drift(summarise_drift(path, config))


def _write(path: Path, text: str) -> None:
    from fer_edge.errors import ConfigError, reason

    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--csv {path}: cannot be written ({reason(error)})") from error


def _print_table(groups: Sequence[Group], path: Path, since: str) -> None:
    from rich.table import Table

    from fer_edge.monitoring.stats import ordered_labels
    from fer_edge.terminal import output_console

    if not groups:
        typer.echo(f"{path}: nothing was recorded since {since}")
        return
    table = Table()
    for heading in ("from", "people", "face time", "labels", "FPS", "dropped", "hottest", "camera lost"):
        table.add_column(heading, justify="left" if heading in {"from", "labels"} else "right")
    longest = max(sum(group.period.face_s.values()) for group in groups)
    for group in groups:
        period = group.period
        seen = sum(period.face_s.values())
        bar = "█" * round(_BAR * seen / longest) if longest else ""
        parts = [f"{label} {period.face_s[label] / seen:.0%}" for label in ordered_labels([group]) if seen]
        table.add_row(
            group.start.strftime("%Y-%m-%d %H:%M"),
            str(period.people),
            _duration(seen),
            "\n".join([bar, ", ".join(parts)]) if parts else "nobody",
            f"{period.frames / group.seconds:.1f}",
            f"{period.dropped / max(period.dropped + period.frames, 1):.0%}",
            "-" if period.hottest is None else f"{period.hottest:.0f} °C",
            f"{period.camera_losses}x, {_duration(period.camera_lost_s)}" if period.camera_losses else "-",
        )
    output_console().print(table)


def _print_measured(folder: Path | None) -> None:
    """The accuracy by labelled samples, per month; nothing where there are none."""
    from rich.table import Table

    from fer_edge.monitoring.measured_accuracy import by_month
    from fer_edge.monitoring.samples import SampleFolder
    from fer_edge.terminal import output_console

    samples = SampleFolder(folder) if folder and folder.is_dir() else None
    months = by_month(samples.labels().values(), samples.seen()) if samples else {}
    if not months:
        return
    table = Table(title="measured accuracy, by labelled samples")
    for heading in ("month", "model", "labelled faces", "accuracy, %", "95 % interval"):
        table.add_column(heading, justify="left" if heading in {"month", "model"} else "right")
    for month, measured in months.items():
        rate = measured.accuracy
        figures = (f"{100 * rate.value:.1f}", f"{100 * rate.low:.1f} to {100 * rate.high:.1f}") if rate else ("-", "-")
        table.add_row(month, measured.model, str(measured.labelled), *figures)
    output_console().print(table)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
