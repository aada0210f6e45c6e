"""Lines of text to a file, or to standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from fer_edge.config import JsonLinesConfig
from fer_edge.errors import ConfigError, reason
from fer_edge.silence import discard_stdout
from fer_edge.sinks import StopRun
from fer_edge.sinks.rotating_file import RotatingFile, write_whole


class LineOutput:
    """Takes whole lines for a file, or for standard output (`-`)."""

    def __init__(self, path: str, config: JsonLinesConfig) -> None:
        self.description = "standard output" if path == "-" else path
        self._file = None if path == "-" else RotatingFile(Path(path), config)

    @property
    def last_line(self) -> bytes:
        """The last line of the file when it was opened for appending; else empty."""
        return self._file.last_line if self._file else b""

    def open(self) -> None:
        """Open it. Raises ConfigError if it cannot be written."""
        if self._file:
            try:
                self._file.open()
            except (OSError, ValueError) as error:
                raise ConfigError(f"{self.description!r}: cannot be written ({reason(error)})") from error

    def close(self) -> None:
        """Close it."""
        if self._file:
            self._file.close()

    def write(self, line: bytes) -> None:
        """Write lines with their ends. Raises OSError, and StopRun when a pipe's reader has ended or stops reading."""
        try:
            if self._file:
                self._file.write(line)
            else:
                write_whole(sys.stdout.fileno(), line)
        except (BrokenPipeError, KeyboardInterrupt):
            if not self._file:
                discard_stdout()
            raise StopRun from None

    def sync(self) -> None:
        """Force lines to the disk if that is due."""
        if self._file:
            self._file.sync()
