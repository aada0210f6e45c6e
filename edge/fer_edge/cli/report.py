"""`fer-edge report`: a page about the last days."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.drift import RecordArgument, find_reference, usage_path
from fer_edge.cli.options import ConfigOption, load


def report(
    html: Annotated[Path, typer.Option(metavar="FILE", help="The page to write: one file that holds everything.")],
    record: RecordArgument = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: 7d, 36h, 2w, or a date.")] = "7d",
    config: ConfigOption = None,
) -> None:
    """Write a page about the last days: who was seen, drift, accuracy, faults. Mail or publish it as you like."""
    from fer_edge.monitoring.drift_watch import read_drift, read_expected_accuracy
    from fer_edge.monitoring.report import ReportInput, write_report
    from fer_edge.monitoring.samples import SampleFolder
    from fer_edge.monitoring.stats import parse_since

    path, now = usage_path(record, config), datetime.now().astimezone()
    seconds, reference = int(now.timestamp()), find_reference(path, config)
    folder = load(config).samples.path
    about = ReportInput(
        path,
        parse_since(since, now),
        now,
        read_drift(path, seconds),
        read_expected_accuracy(path, seconds, reference) if reference else None,
        SampleFolder(folder) if folder and folder.is_dir() else None,
    )
    write_report(about, html)
    typer.echo(f"{html}: written")
