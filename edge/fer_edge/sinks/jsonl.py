"""JSON lines: one object per frame, or a change."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Self

from fer_edge.config import JsonLinesConfig
from fer_edge.errors import ConfigError, reason
from fer_edge.silence import discard_stdout
from fer_edge.sinks import Sink, StopRun
from fer_edge.sinks.rotating_file import RotatingFile, write_whole
from fer_edge.sinks.serialize import as_record, camera_record, shown
from fer_edge.types import FrameResult


class JsonLines(Sink):
    """Writes to a file, or to standard output (`-`)."""

    def __init__(self, path: str, config: JsonLinesConfig) -> None:
        self.description = "standard output" if path == "-" else path
        self._file = None if path == "-" else RotatingFile(Path(path), config)
        self._on_change = config.on_change
        self._is_waiting = False
        self._shown: list[tuple[int, str]] | None = None
        self._first_at: float | None = None

    def __enter__(self) -> Self:
        if self._file:
            try:
                self._file.open()
            except (OSError, ValueError) as error:
                raise ConfigError(f"{self.description!r}: cannot be written ({reason(error)})") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def emit(self, result: FrameResult) -> None:
        """Write one line. Raises StopRun when the reader of a pipe is gone, or reads no more."""
        if self._is_waiting:
            self._write(camera_record("online"))
            self._is_waiting = False
        if self._first_at is None:
            self._first_at = result.frame.captured_at
        now = shown(result)
        if self._on_change and now == self._shown:
            self._sync()
            return
        self._write(as_record(result, self._first_at))
        self._shown = now

    def waiting(self, _what: str) -> None:
        """Write once that the camera is lost."""
        if self._is_waiting:
            self._sync()
            return
        self._write(camera_record("offline"))
        self._is_waiting = True
        self._shown = []

    def _sync(self) -> None:
        if self._file:
            self._file.sync()

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            if self._file:
                self._file.write(line)
            else:
                write_whole(sys.stdout.fileno(), line)
        except (BrokenPipeError, KeyboardInterrupt):
            if not self._file:
                discard_stdout()
            raise StopRun from None
