"""Counts how often the service dies with the model in use, so that a new one is measured against it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fer_edge.errors import FerError, reason
from fer_edge.model.bundle import DEFAULT_MODEL, current_choices
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, record_path
from fer_edge.sinks import StopRun

_log = logging.getLogger(__name__)

# A run that ends so was closed; any other end is a death, as in a trial.
ORDERLY = (FerError, StopRun, KeyboardInterrupt)


@contextmanager
def count_restarts() -> Iterator[None]:
    """Write the start of a run without a trial, and its orderly end."""
    path = record_path()
    record = TrialRecord.read(path)
    model = next(current_choices(Slots(), record), ModelId(DEFAULT_MODEL))
    record = record.in_use(model)
    _write(record, path)
    try:
        yield
    except ORDERLY:
        _write_end(record, path)
        raise
    _write_end(record, path)


def _write_end(record: TrialRecord, path: Path) -> None:
    if record.usual:
        _write(replace(record, usual=record.usual.closed()), path)


def _write(record: TrialRecord, path: Path) -> None:
    try:
        record.write(path)
    except OSError as error:
        _log.warning("%s: cannot be written (%s), so restarts are not counted", path, reason(error))
