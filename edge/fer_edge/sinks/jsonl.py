"""JSON lines: one object a frame."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Self

from fer_edge.errors import ConfigError, reason
from fer_edge.quiet import discard_stdout
from fer_edge.sinks import StopRun
from fer_edge.sinks.record import as_record
from fer_edge.types import FrameResult


class JsonLines:
    """Writes a line a frame to a file, which is replaced, or to standard output (`-`)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.description = "standard output" if path == "-" else path
        self._first_at: float | None = None

    def __enter__(self) -> Self:
        try:
            opened = nullcontext(sys.stdout) if self._path == "-" else Path(self._path).open("w", encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._path!r}: cannot be written ({reason(error)})") from error
        self._opened = opened
        self._stream = opened.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._opened.__exit__(None, None, None)

    def emit(self, result: FrameResult) -> None:
        """Write and flush one line. Raises StopRun when the reader of standard output is gone, or reads no more."""
        if self._first_at is None:
            self._first_at = result.frame.captured_at
        line = json.dumps(as_record(result, self._first_at), separators=(",", ":"))
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (BrokenPipeError, KeyboardInterrupt):
            discard_stdout()
            raise StopRun from None
