"""Tables of models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from fer_edge.errors import ModelError
from fer_edge.model.bundle import DEFAULT_MODEL, current_choices, find_bundle, load_bundle, shipped_bundles
from fer_edge.model.manifest import Manifest
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, failed_models, record_path
from fer_edge.terminal import output_console, printable


def rows_of_models() -> list[dict[str, Any]]:
    """The shipped and installed models, one per row; `problem` says what is wrong with a damaged one."""
    slots = Slots()
    state = _States(slots)
    folders = {ModelId(name): find_bundle(name) for name in shipped_bundles()}
    folders |= {model: slots.path(model) for model in slots.installed()}
    return [_row(model, folder, state) for model, folder in folders.items()]


def models_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the models."""
    table = Table()
    for heading in ("model", "classes", "MMACs", "kB", "accuracy, int8", "on", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        if row["problem"]:
            table.add_row(row["model"], "", "", "", "", "", escape(printable(f"damaged: {row['problem']}")))
            continue
        measured = row["accuracy_int8"] is not None
        table.add_row(
            row["model"],
            str(len(row["labels"])),
            f"{row['macs'] / 1e6:.1f}",
            f"{row['bytes'] / 1000:.0f}",
            f"{row['accuracy_int8']:.1%}" if measured else "not measured",
            escape(row["measured_on"]),
            escape(printable(row["state"])),
        )
    output_console().print(table)


def history_table(slots: Slots) -> None:
    """Print the switches of the current model, the latest first, with the end of their trials."""
    record = TrialRecord.read(record_path())
    table = Table()
    for heading in ("chosen", "model", "by", "trial"):
        table.add_column(heading, overflow="fold")
    for switch in reversed(slots.history()):
        verdict = record.verdict(ModelId.parse(switch.model), switch.serial)
        said = "" if verdict is None else f"{'passed' if verdict.passed else 'failed'}: {verdict.reason}"
        table.add_row(_local(switch.at), switch.model, switch.why, escape(printable(said)))
    output_console().print(table)


class _States:
    """What there is to say about each model."""

    def __init__(self, slots: Slots) -> None:
        record = TrialRecord.read(record_path())
        self._in_use = next(current_choices(slots, record), ModelId(DEFAULT_MODEL))
        self._chosen = slots.in_effect()
        self._failed = failed_models(slots.folder)
        self._trial = record.progress

    def of(self, model: ModelId) -> str:
        name = str(model)
        parts = []
        if model == self._in_use:
            since = self._chosen.at if self._chosen and self._chosen.model == name else None
            parts.append(f"in use since {_local(since)}" if since else "in use")
            if self._trial and self._trial.model == name:
                parts.append(f"on trial for {self._trial.seconds / 60:.0f} minutes")
        if name in self._failed:
            parts.append(f"failed its trial: {self._failed[name]}")
        return "; ".join(parts)


def _row(model: ModelId, folder: Path, states: _States) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": str(model),
        "installed": bool(model.version),
        "folder": str(folder),
        "state": states.of(model),
        "problem": "",
    }
    try:
        bundle = load_bundle(folder)
    except ModelError as error:
        return {**row, "problem": str(error)}
    return {**row, "bytes": len(bundle.model), **_facts(bundle.manifest)}


def _facts(manifest: Manifest) -> dict[str, Any]:
    first = manifest.accuracy[0] if manifest.accuracy else None
    return {
        "version": manifest.version,
        "labels": list(manifest.labels),
        "macs": manifest.macs,
        "accuracy_int8": first.accuracy_int8 if first else None,
        "measured_on": f"{first.images} faces of {first.data} {first.split}, {first.labels} labels" if first else "",
    }


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
