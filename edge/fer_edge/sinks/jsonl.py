"""JSON lines: one object per frame or per change."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Self

from fer_edge.config import JsonLinesConfig
from fer_edge.sinks import Sink, StopRun
from fer_edge.sinks.line_output import LineOutput
from fer_edge.sinks.serialize import as_record, camera_record, run_record, shown, unfinished_record
from fer_edge.types import FrameResult


class JsonLines(Sink):
    """Writes to a file, or to standard output (`-`).

    A log (`append`) also tells when each run starts and stops, and at the next start, that a run has no end.
    """

    def __init__(self, path: str, config: JsonLinesConfig) -> None:
        self._output = LineOutput(path, config)
        self.description = self._output.description
        self._on_change = config.on_change
        self._is_log = config.append and path != "-"
        self._has_started = False
        self._is_waiting = False
        self._shown: list[tuple[int, str]] | None = None
        self._first_at: float | None = None

    def __enter__(self) -> Self:
        self._output.open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._has_started:
            with suppress(OSError, StopRun):  # the next start says that this run has no end
                self._write(run_record("stop"))
        self._output.close()

    def emit(self, result: FrameResult) -> None:
        """Write one line. Raises StopRun when the reader of a pipe has ended or stops reading."""
        if self._is_waiting:
            self._write(camera_record("online"))
            self._is_waiting = False
        if self._first_at is None:
            self._first_at = result.frame.captured_at
        now = shown(result)
        if self._on_change and now == self._shown:
            self._output.sync()
            return
        self._write(as_record(result, self._first_at))
        self._shown = now

    def waiting(self, _what: str) -> None:
        """Write once that the camera is lost."""
        if self._is_waiting:
            self._output.sync()
            return
        self._write(camera_record("offline"))
        self._is_waiting = True
        self._shown = []

    def _write(self, record: dict[str, Any]) -> None:
        if self._is_log and not self._has_started:
            unfinished = unfinished_record(self._output.last_line)
            if unfinished:
                self._write_line(unfinished)
            self._write_line(run_record("start"))
            self._has_started = True
        self._write_line(record)

    def _write_line(self, record: dict[str, Any]) -> None:
        self._output.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
