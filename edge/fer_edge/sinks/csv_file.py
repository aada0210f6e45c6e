"""CSV: one row per face and frame, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from fer_edge.config import JsonLinesConfig
from fer_edge.errors import ConfigError
from fer_edge.sinks import Sink
from fer_edge.sinks.line_output import LineOutput
from fer_edge.sinks.serialize import as_utf8
from fer_edge.terminal import printable
from fer_edge.types import FrameResult, TrackedFace

_COLUMNS = (
    "file",
    "frame",
    "elapsed_s",
    "id",
    "x",
    "y",
    "width",
    "height",
    "score",
    "label",
    "confidence",
)
_BEGINNING = ",".join(_COLUMNS[:3]).encode()


class CsvFile(Sink):
    """Writes the faces that are shown to a file, or to standard output (`-`), after a row of headings."""

    def __init__(self, path: str, source: str, labels: Sequence[str]) -> None:
        """Prepare.

        Args:
            path: path of the file, or `-`.
            source: name for frames without a name of their own.
            labels: the model's labels in order; each is a column.
        """
        self._path = path
        self._output = LineOutput(path, JsonLinesConfig())
        self.description = self._output.description
        self._source = source
        self._header: list[str] | None = [*_COLUMNS, *labels]
        self._first_at: float | None = None

    def __enter__(self) -> Self:
        if self._path != "-":
            _refuse_other_file(Path(self._path))
        self._output.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._output.close()

    def emit(self, result: FrameResult) -> None:
        """Write one row per face, all of a frame at once. Raises OSError, and StopRun when a reader has ended."""
        frame = result.frame
        if self._first_at is None:
            self._first_at = frame.captured_at
        elapsed = "" if frame.still else round(frame.captured_at - self._first_at, 4)
        place = [printable(as_utf8(frame.name or self._source)), frame.index, elapsed]
        rows: list[Sequence[object]] = [self._header] if self._header else []
        rows += [[*place, *_values(face)] for face in result.visible_faces]
        if rows:
            self._output.write(_as_csv(rows))
            self._header = None


def _values(face: TrackedFace) -> list[object]:
    box = face.box
    sides = (round(side, 1) for side in (box.x, box.y, box.width, box.height))
    smoothed = (round(float(share), 4) for share in face.smoothed.probabilities)
    return [face.id, *sides, round(box.score, 3), face.label, round(face.confidence, 4), *smoothed]


def _as_csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _refuse_other_file(path: Path) -> None:
    """Refuse to replace a file that is no such table, as in `--csv clip.mp4`. Raises ConfigError."""
    begin = b""
    with suppress(OSError, ValueError):  # opening will say what is wrong
        if path.is_file():
            with path.open("rb") as file:
                begin = file.read(len(_BEGINNING))
    if begin not in {b"", _BEGINNING}:
        raise ConfigError(f"--csv {path}: exists and holds something else than such a table. Choose another file")
