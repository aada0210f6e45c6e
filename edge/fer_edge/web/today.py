"""Reads today's values and the drift from the usage record."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from fer_edge.errors import ConfigError
from fer_edge.monitoring.stats import group_rows
from fer_edge.monitoring.store import iterate_rows
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sinks import Sink

# The record, which gets a row per minute, is read at intervals of so many seconds.
_INTERVAL = 60.0


class Today:
    """Reads the record of the run at intervals, in a thread, since a long day takes some time."""

    def __init__(self, outputs: Iterable[Sink]) -> None:
        """Prepare. `outputs` are those of the run, one of which may keep a usage record."""
        self._recorder = next((sink for sink in outputs if isinstance(sink, UsageRecorder)), None)
        self._usage: dict[str, Any] | None = None
        self._read_at = -_INTERVAL

    def usage(self) -> dict[str, Any] | None:
        """Return people and seconds per label since midnight, up to the last minute; None without a record."""
        now = time.monotonic()
        if self._recorder and now - self._read_at >= _INTERVAL:
            self._read_at = now
            threading.Thread(target=self._read, args=(self._recorder,), name="usage of today", daemon=True).start()
        return self._usage

    def drift(self) -> dict[str, Any] | None:
        """Return the state of the drift and its reason; None without a record."""
        if self._recorder is None:
            return None
        report = self._recorder.drift
        return {"state": report.state, "reason": report.reason}

    def expected_accuracy(self) -> dict[str, Any] | None:
        """Return the expected accuracy with its interval, 0..1; None without a record, or while it is unknown."""
        expected = self._recorder.expected_accuracy if self._recorder else None
        return expected.as_dict() if expected else None

    def _read(self, recorder: UsageRecorder) -> None:
        midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        with suppress(ConfigError):  # its first minute is not written yet
            groups = group_rows(iterate_rows(recorder.path, int(midnight.timestamp())), "day")
            day = groups[-1].as_dict() if groups else {"people": 0, "face_s": {}}
            self._usage = {"since": midnight.isoformat(), "people": day["people"], "face_s": day["face_s"]}
