"""Drift of a device against its own first week, read from its usage record."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from fer_edge.errors import ConfigError
from fer_edge.model.reference import Reference
from fer_edge.monitoring.drift import DriftReport, State, compare
from fer_edge.monitoring.expected_accuracy import INPUTS, ExpectedAccuracy, expected_accuracy
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import DAY, HOUR, ModelIdentity, iterate_rows, newest_model, open_record

_log = logging.getLogger(__name__)

# The reference is the first week of a model on this device; the last two days are compared with it.
REFERENCE_DAYS = 7
_RECENT_DAYS = 2
_BASELINE = "baseline_start"


def set_baseline(path: Path, start: int) -> None:
    """Let the reference week begin at `start`, seconds since 1970, UTC. Raises ConfigError."""
    newest_model(path)  # says what is wrong with a file that is no record
    try:
        with closing(sqlite3.connect(path, timeout=5)) as database, database:
            database.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_BASELINE, str(start)))
    except sqlite3.Error as error:
        raise ConfigError(f"{path}: cannot be written ({error})") from error


def read_drift(path: Path, now: int, before: State = "ok") -> DriftReport:
    """Compare the last two days with the reference week.

    Args:
        path: a usage record.
        now: seconds since 1970, UTC.
        before: the previous state.

    Raises:
        ConfigError: it cannot be read.
    """
    newest = newest_model(path, _baseline_start(path))
    if newest is None:
        return DriftReport("too little data", (), "nothing was recorded yet")
    model, start = newest  # what another model read cannot be compared
    end = start + REFERENCE_DAYS * DAY
    recent_start = now - _RECENT_DAYS * DAY
    if recent_start < end:
        hours = -(-(end + _RECENT_DAYS * DAY - now) // HOUR)
        return DriftReport("too little data", (), f"the reference week and two days more end in {hours} hours")
    reference = _days(path, model, start, REFERENCE_DAYS)
    recent = _days(path, model, recent_start, _RECENT_DAYS)
    return compare([day for day in reference if not day.is_empty], recent, before)


def read_model_drift(path: Path, now: int, reference: Reference) -> DriftReport:
    """Compare the pictures of the last two days with those that the model was measured on.

    Confidence is left out, since the record has the smoothed one; see `read_expected_accuracy`. Raises ConfigError.
    """
    whole = Period(people=reference.faces)
    for name in INPUTS:
        whole.histograms[name].update(reference.histograms.get(name, {}))
    return compare([whole], _recent_days(path, now))


def read_expected_accuracy(path: Path, now: int, reference: Reference) -> ExpectedAccuracy | None:
    """What to expect of the faces of the last two days; None with too few. Raises ConfigError."""
    return expected_accuracy(_recent_days(path, now), reference)


def read_expected_between(path: Path, first: str, last: str, reference: Reference) -> ExpectedAccuracy | None:
    """What to expect of the newest model's faces of some days; None with too few.

    Args:
        path: a usage record.
        first: local date of the first day, such as 2026-11-27.
        last: local date of the last day; it is included.
        reference: that of the model.

    Raises:
        ConfigError: the record cannot be read.
    """
    start = int(datetime.fromisoformat(first).astimezone().timestamp())
    end = int((datetime.fromisoformat(last) + timedelta(days=1)).astimezone().timestamp())
    newest = newest_model(path, start)
    if newest is None:
        return None
    periods = [row.period for row in iterate_rows(path, start, end) if row.model == newest[0]]
    return expected_accuracy(periods, reference)


def _recent_days(path: Path, now: int) -> list[Period]:
    """The last two days of the newest model."""
    start = now - _RECENT_DAYS * DAY
    newest = newest_model(path, start)
    return _days(path, newest[0], start, _RECENT_DAYS) if newest else [Period() for _ in range(_RECENT_DAYS)]


class DriftWatch:
    """Reads the drift once per hour, and logs each change of state."""

    def __init__(
        self, path: Path, reference: Reference | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.report = DriftReport("too little data", (), "not read yet")
        self.expected: ExpectedAccuracy | None = None
        self._path = path
        self._reference = reference
        self._clock = clock
        self._read_at: float | None = None

    def update(self) -> None:
        """Read the drift if an hour has passed. If the record cannot be read, it is read the next time."""
        now = self._clock()
        if self._read_at is not None and 0 <= now - self._read_at < HOUR:
            return
        self._read_at = now
        before = self.report.state
        try:
            self.report = read_drift(self._path, int(now), before)
            if self._reference:
                self.expected = read_expected_accuracy(self._path, int(now), self._reference)
        except ConfigError as error:
            _log.debug("drift: %s", error)
            self._read_at = None
            return
        if self.report.state != before and "too little data" not in {before, self.report.state}:
            level = logging.INFO if self.report.state == "ok" else logging.WARNING
            _log.log(level, "drift: %s, was %s: %s", self.report.state, before, self.report.reason)


def _days(path: Path, model: ModelIdentity, start: int, count: int) -> list[Period]:
    """The days of a model from `start` on."""
    days = [Period() for _ in range(count)]
    for row in iterate_rows(path, start, start + count * DAY):
        if row.model == model:
            days[(row.start - start) // DAY].add(row.period)
    return days


def _baseline_start(path: Path) -> int:
    with open_record(path) as database:
        row = database.execute("SELECT value FROM settings WHERE key = ?", (_BASELINE,)).fetchone()
        return int(row[0]) if row else 0
