"""Show a comparison: tables for people, `quantization.json` for programs, and a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from pydantic import TypeAdapter
from rich.markup import escape
from rich.table import Table

from fer_edge.model.manifest import Calibration
from fer_edge.terminal import output_console
from fer_quantize.check import Comparison, Measurement
from fer_quantize.convert import Mode
from fer_quantize.gate import Outcome, Rival
from fer_quantize.inputs import Origin
from fer_quantize.layer_error import layer_errors
from fer_quantize.modes import compare_modes
from fer_quantize.reference import Trial
from fer_train.evaluation.metrics import Interval
from fer_train.evaluation.plots import as_png

_LAYER_FACES = 50


def print_outcome(outcome: Outcome) -> None:
    """Print accuracies, recall per class, costs, and whether the check passed."""
    console = output_console()
    first = outcome.comparison.measurements[0]
    console.print(_accuracies(outcome))
    console.print(_recalls(first))
    console.print(_costs(outcome.comparison))
    console.print(
        f"Same label on {first.agreement:.2%} of the faces; probabilities differ by {first.mean_difference:.4f} on "
        f"average, {first.max_difference:.3f} at most; calibration error {first.ece_float:.3f} float, "
        f"{first.ece_int8:.3f} int8.",
        soft_wrap=True,
    )
    if outcome.calibration:
        console.print(escape(_calibration(outcome.calibration)), soft_wrap=True)
    if outcome.rival:
        console.print(escape(_rival(outcome.rival)), soft_wrap=True)
    for caution in outcome.cautions:
        console.print(f"[yellow]Note[/]: {escape(caution)}.", soft_wrap=True)
    if outcome.refusal:
        console.print(f"[red]FAILED[/]: {escape(outcome.refusal)}", soft_wrap=True)
    elif outcome.gated:
        console.print("[green]passed[/]")
    if outcome.written:
        console.print(f"{escape(str(outcome.folder))}: written")


def print_layers(origin: Origin) -> None:
    """Print the noise that int8 adds to each operation's output, and mark the operation that adds most."""
    errors = layer_errors(origin.model, origin.faces, origin.labellings[0].images[:_LAYER_FACES])
    worst = max(errors, key=lambda error: error.added_db)
    table = Table(
        title=f"{escape(str(origin.path))}: int8 against float, operation by operation, on {_LAYER_FACES} faces"
    )
    for heading in ("", "operation", "layer", "signal to noise, dB", "lost here, dB"):
        table.add_column(heading, justify="left" if heading in {"operation", "layer"} else "right")
    for error in errors:
        style = "bold red" if error is worst else None
        figures = (f"{error.sqnr_db:.1f}", f"{error.added_db:+.1f}")
        table.add_row(str(error.index), error.operation, error.layer, *figures, style=style)
    console = output_console()
    console.print(table)
    console.print(
        f"{worst.layer} loses most. If the accuracy drop is too large, give --int16 this layer and the one before it."
    )


def print_modes(origin: Origin, modes: Sequence[Mode]) -> None:
    """Print size, accuracy and latency of each mode."""
    faces = origin.labellings[0]
    table = Table(title=f"{escape(str(origin.path))} on {len(faces)} faces of {faces.split}, {faces.scheme}")
    for heading in ("mode", "kB", "accuracy, %", "ms per face, one thread here"):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    for result in compare_modes(origin.model, origin.faces, faces, modes):
        accuracy = f"{100 * result.accuracy:.2f} {_percent(result.interval)}"
        table.add_row(result.mode, f"{result.cost.bytes / 1000:.0f}", accuracy, f"{result.cost.latency_ms:.3f}")
    output_console().print(table)


def print_trials(trials: Sequence[Trial]) -> None:
    """Print how the estimate of accuracy did on each kind of face."""
    table = Table(title="expected against true accuracy, on faces that the estimate was not fitted on, %")
    for heading in ("corruption", "level", "fitted on", "mean confidence", "expected", "true", "trusted"):
        table.add_column(heading, justify="left" if heading == "corruption" else "right")
    for trial in trials:
        shares = (f"{100 * share:.1f}" for share in (trial.confidence, trial.expected, trial.accuracy))
        fitted, trusted = ("yes" if answer else "no" for answer in (trial.fitted, trial.trusted))
        table.add_row(trial.corruption or "none", f"{trial.level:g}", fitted, *shares, trusted)
    output_console().print(table)


def as_json(comparison: Comparison) -> str:
    """The content of `quantization.json`: all figures."""
    return json.dumps(_rounded(TypeAdapter(Comparison).dump_python(comparison, mode="json")), indent=2) + "\n"


def plot(comparison: Comparison) -> bytes:
    """A PNG: float and int8 recall per class, with the accuracies in its title."""
    first = comparison.measurements[0]
    accuracy = first.accuracy
    labels = list(accuracy.recall_float)
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(labels))
        for offset, name, recalls, colour in (
            (-0.2, "float", accuracy.recall_float, "#0072B2"),
            (0.2, "int8", accuracy.recall_int8, "#E69F00"),
        ):
            heights = [100 * (recalls[label] or 0) for label in labels]
            axes.bar(places + offset, heights, 0.4, label=name, color=colour)
        axes.set_xticks(places, labels)
        axes.set_ylabel("recall, %")
        axes.set_ylim(0, 100)
        axes.set_title(
            f"{accuracy.data} {accuracy.split}, {accuracy.labels}: "
            f"{accuracy.accuracy_float:.2%} float, {accuracy.accuracy_int8:.2%} int8"
        )
        axes.legend()
        return as_png(figure)


def _accuracies(outcome: Outcome) -> Table:
    table = Table(title=f"{escape(str(outcome.folder))}: float against int8, 95 % intervals")
    for heading in ("labels", "images", "float, %", "int8, %", "drop, pp", "McNemar p"):
        table.add_column(heading, justify="left" if heading == "labels" else "right")
    for measured in outcome.comparison.measurements:
        accuracy = measured.accuracy
        table.add_row(
            f"{accuracy.labels}, {accuracy.split}",
            str(accuracy.images),
            f"{100 * accuracy.accuracy_float:.2f} {_percent(measured.interval_float)}",
            f"{100 * accuracy.accuracy_int8:.2f} {_percent(measured.interval_int8)}",
            f"{measured.drop.drop:+.2f} ({measured.drop.interval[0]:+.2f} to {measured.drop.interval[1]:+.2f})",
            f"{measured.drop.p_value:.2f}",
        )
    return table


def _recalls(measured: Measurement) -> Table:
    table = Table(title=f"recall per class, {measured.accuracy.labels}")
    for heading in ("class", "float", "int8", "drop, pp", "faces lost"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for label, before in measured.accuracy.recall_float.items():
        after = measured.accuracy.recall_int8[label]
        shares = ("-" if recall is None else f"{recall:.1%}" for recall in (before, after))
        table.add_row(label, *shares, f"{measured.class_drop(label):+.1f}", f"{measured.net_losses[label]:+d}")
    return table


def _costs(comparison: Comparison) -> Table:
    table = Table(title=f"{comparison.macs / 1e6:.1f} million multiply-accumulates per face")
    for heading in ("", "kB", "ms per face, one thread here"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, spent in (("float32", comparison.float32), ("int8", comparison.int8)):
        table.add_row(name, f"{spent.bytes / 1000:.0f}", f"{spent.latency_ms:.3f}")
    return table


def _calibration(done: Calibration) -> str:
    return (
        f"Calibrated at temperature {done.temperature:.3f} on {done.images} faces of {done.split}: calibration error "
        f"{done.ece_before:.3f} before, {done.ece:.3f} after (cross-fitted, float, [classifier] prior {done.prior:g})."
    )


def _rival(rival: Rival) -> str:
    gain, low, high = (0.0 - loss for loss in (rival.loss.drop, *reversed(rival.loss.interval)))
    return (
        f"Against {rival.name} ({rival.accuracy:.2%}): {gain:+.2f} percentage points ({low:+.2f} to {high:+.2f}), "
        f"McNemar p {rival.loss.p_value:.2g}."
    )


def _percent(interval: Interval) -> str:
    return f"({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
