"""Prints tables of samples and of the accuracy that was measured with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.table import Table

from fer_edge.errors import ModelError
from fer_edge.labels import FERPLUS8
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.manifest import Manifest
from fer_edge.terminal import output_console

if TYPE_CHECKING:
    from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
    from fer_edge.monitoring.measured_accuracy import MeasuredAccuracy, Rate
    from fer_edge.monitoring.sample import LabelledSample, Sample
    from fer_edge.monitoring.samples import SampleFolder


def samples_table(folder: SampleFolder, samples: Sequence[Sample], labels: Mapping[str, LabelledSample]) -> None:
    """Print one row per sample, and the number of samples of each label."""
    console = output_console()
    table = Table()
    table.add_column("sample", min_width=23)
    for heading in ("day", "model's label", "confidence", "your label"):
        table.add_column(heading, justify="right" if heading == "confidence" else "left")
    for sample in samples:
        answer = labels[sample.id].answer if sample.id in labels else ""
        table.add_row(sample.id, sample.day, sample.label, f"{sample.confidence:.2f}", answer)
    if samples:
        console.print(table)
    counts = Counter(sample.label for sample in samples)
    each = ", ".join(f"{counts[label]} {label}" for label in FERPLUS8 if counts[label])
    labelled = sum(sample.id in labels for sample in samples)
    console.print(f"{folder.folder}: {len(samples)} samples ({each or 'none yet'}), {labelled} labelled", markup=False)
    foreign = folder.foreign_files()
    if foreign:
        console.print(f"{len(foreign)} other files are left alone, the first is {foreign[0]}", markup=False)


def accuracy_tables(measured: MeasuredAccuracy, model: str, expected: ExpectedAccuracy | None = None) -> None:
    """Print accuracy, recall and confusion matrix beside what was expected, and the values of the model card."""
    console = output_console()
    card = _card(measured.model, model)
    first = card.accuracy[0] if card and card.accuracy else None
    title = f"{measured.model}, {measured.labelled} labelled faces of {measured.first_day} to {measured.last_day}"
    table = Table(title=title)
    for heading in ("", "here, %", "95 % interval", "model card, %"):
        table.add_column(heading, justify="left" if not heading else "right")
    known = f"{100 * first.accuracy_int8:.1f}" if first else "-"
    table.add_row("accuracy, as faces occur here", *_cells(measured.accuracy), known)
    table.add_row("accuracy of the samples alone", *_cells(measured.of_samples), "")
    if measured.confidence is not None:
        table.add_row("mean confidence, as faces occur here", f"{100 * measured.confidence:.1f}", "", "")
    if expected:
        interval = f"{100 * expected.low:.1f} to {100 * expected.high:.1f}"
        table.add_row("expected accuracy, without labels", f"{100 * expected.accuracy:.1f}", interval, "")
    for label, rate in measured.recall.items():
        recall = first.recall_int8.get(label) if first else None
        table.add_row(f"recall of {label}", *_cells(rate), "-" if recall is None else f"{100 * recall:.1f}")
    console.print(table)
    console.print(_confusion(measured))
    if expected:
        console.print(f"expected accuracy: {expected.reason}")
    if first:
        console.print(f"model card: {first.images} faces of {first.data} {first.split}, {first.labels} labels")
    console.print(f"{measured.no_faces} samples show no face, {measured.skipped} were skipped")


def _confusion(measured: MeasuredAccuracy) -> Table:
    read = [label for label in FERPLUS8 if any(label in row for row in measured.confusion.values())]
    table = Table(title="confusion matrix: rows are your labels, columns the model's")
    table.add_column("")
    for label in read:
        table.add_column(label, justify="right")
    for label, row in measured.confusion.items():
        cells = [str(row.get(other, 0) or "") for other in read]
        table.add_row(label, *cells)
    return table


def _cells(rate: Rate | None) -> tuple[str, str]:
    return (f"{100 * rate.value:.1f}", f"{100 * rate.low:.1f} to {100 * rate.high:.1f}") if rate else ("-", "")


def _card(measured: str, configured: str) -> Manifest | None:
    """Return the description of the measured model, or None if the model is no longer available."""
    for name in (configured, measured.partition("@")[0]):
        with suppress(ModelError):
            manifest = load_bundle(find_bundle(name)).manifest
            if f"{manifest.name}@{manifest.version}" == measured:
                return manifest
    return None
