"""`fer-edge samples`: the pictures of faces that a device keeps for its owner to label."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.json_output import JsonCommand, JsonOption, write_json
from fer_edge.cli.options import ConfigOption, default, load

if TYPE_CHECKING:
    from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
    from fer_edge.monitoring.measured_accuracy import MeasuredAccuracy
    from fer_edge.monitoring.samples import SampleFolder

samples = new_app("List, label, export and delete the faces that were kept as samples.")

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="FOLDER", help=default("A folder of samples.", "samples.path of the configuration")
    ),
]


@samples.command("list", cls=JsonCommand)
def list_samples(folder: FolderOption = None, config: ConfigOption = None, json_target: JsonOption = None) -> None:
    """List the samples with the labels of the model and of the owner."""
    from fer_edge.cli.samples_tables import samples_table

    found = open_folder(folder, config)
    labels, listed = found.labels(), found.samples()
    if json_target is not None:
        rows = [
            {
                "id": sample.id,
                "day": sample.day,
                "label": sample.label,
                "confidence": sample.confidence,
                "shown": sample.shown,
                "model": sample.model,
                "answer": labels[sample.id].answer if sample.id in labels else None,
            }
            for sample in listed
        ]
        write_json(json.dumps(rows, indent=2), json_target)
        return
    samples_table(found, listed, labels)


@samples.command("show")
def show(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The picture to write: .png or .jpg.")],
    folder: FolderOption = None,
    config: ConfigOption = None,
) -> None:
    """Draw all samples on one sheet, each with the model's label and the owner's label below."""
    from fer_edge.monitoring.contact_sheet import write_sheet

    count = write_sheet(open_folder(folder, config), out)
    typer.echo(f"{out}: {count} faces")


@samples.command("review")
def review(
    folder: FolderOption = None,
    config: ConfigOption = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port on this machine; 0 takes a free one.")
    ] = 8081,
) -> None:
    """Label samples in a browser on this machine. Ctrl-C ends it and shows the accuracy."""
    from fer_edge.errors import MissingExtra

    found = open_folder(folder, config)
    try:
        from fer_edge.web.review import serve_review
    except ImportError as error:
        raise MissingExtra("the web server", "web") from error
    serve_review(found, port, typer.echo)
    _print_accuracy(found, config)


@samples.command("accuracy", cls=JsonCommand)
def accuracy(folder: FolderOption = None, config: ConfigOption = None, json_target: JsonOption = None) -> None:
    """Show the model's accuracy on the labelled samples beside the accuracy of the model card."""
    found = open_folder(folder, config)
    if json_target is None:
        _print_accuracy(found, config)
        return
    from fer_edge.monitoring.measured_accuracy import measure

    measured = measure(found.labels().values(), found.seen())
    write_json(json.dumps(measured.as_dict() if measured else None, indent=2), json_target)


@samples.command("export")
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    folder: FolderOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the labelled faces to a new folder that fer-train fit reads, split by day."""
    from fer_edge.monitoring.sample_export import export_samples

    splits = export_samples(open_folder(folder, config), out)
    counts = ", ".join(f"{count} {split}" for split, count in sorted(splits.items()))
    typer.echo(f"{out}: {counts}. They are pictures of people: delete them when you are done")


@samples.command("delete")
def delete(
    names: Annotated[list[str] | None, typer.Argument(metavar="SAMPLE", help="Samples by name.")] = None,
    folder: FolderOption = None,
    config: ConfigOption = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Delete the samples of earlier days, as in 2026-11-27.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all samples with their labels and counts.")] = False,
) -> None:
    """Delete samples: the pictures and their labels."""
    from fer_edge.errors import ConfigError

    if sum((bool(names), before is not None, everything)) != 1:
        raise ConfigError("give samples, or --before DATE, or --all")
    found = open_folder(folder, config)
    if everything:
        found.delete_all()
        typer.echo(f"{found.folder}: all samples deleted")
        return
    known = {sample.id: sample.day for sample in found.samples()} | {
        identity: one.sample.day for identity, one in found.labels().items()
    }
    if before is not None:
        try:
            limit = date.fromisoformat(before).isoformat()
        except ValueError:
            raise ConfigError(f"--before {before}: expected a date such as 2026-11-27") from None
        names = [identity for identity, day in known.items() if day < limit]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ConfigError(f"{unknown[0]}: is no sample. See fer-edge samples list")
    found.delete(names or [])
    typer.echo(f"{found.folder}: {len(names or [])} samples deleted")


def open_folder(folder: Path | None, config: Path | None) -> SampleFolder:
    """Return the given or the configured folder. Raises ConfigError if there is neither, or it does not exist."""
    from fer_edge.errors import ConfigError
    from fer_edge.monitoring.samples import SampleFolder

    path = folder or load(config).samples.path
    if path is None:
        raise ConfigError("no samples are configured. Give --folder, or --config with samples.path set")
    return SampleFolder(path).require()


def _print_accuracy(found: SampleFolder, config: Path | None) -> None:
    from fer_edge.cli.samples_tables import accuracy_tables
    from fer_edge.monitoring.measured_accuracy import measure

    measured = measure(found.labels().values(), found.seen())
    if measured is None:
        typer.echo(f"{found.folder}: no sample has a label yet. Give some: fer-edge samples review")
        return
    settings = load(config)
    accuracy_tables(measured, settings.model, _expected(measured, settings.usage.path, config))


def _expected(measured: MeasuredAccuracy, path: Path | None, config: Path | None) -> ExpectedAccuracy | None:
    """What the usage record of the samples' days lets expect; None without it, or with too few faces."""
    from fer_edge.cli.drift import find_reference
    from fer_edge.errors import ConfigError
    from fer_edge.monitoring.drift_watch import read_expected_between
    from fer_edge.monitoring.store import newest_model

    if path is None:
        return None
    with suppress(ConfigError):  # there is no record, or it cannot be read
        newest = newest_model(path)
        if newest and f"{newest[0].name}@{newest[0].version}" == measured.model:
            reference = find_reference(path, config)
            if reference:
                return read_expected_between(path, measured.first_day, measured.last_day, reference)
    return None
