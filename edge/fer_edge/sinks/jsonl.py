"""JSON lines: one object a frame."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from fer_edge.errors import ConfigError
from fer_edge.sinks import StopRun
from fer_edge.types import FrameResult, Prediction, TrackedFace


class JsonLines:
    """Writes a line a frame to a file, which is replaced, or to standard output (`-`)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._first_at: float | None = None

    def __enter__(self) -> Self:
        try:
            opened = nullcontext(sys.stdout) if self._path == "-" else Path(self._path).open("w", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written ({error.strerror})") from error
        self._opened = opened
        self._stream = opened.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._opened.__exit__(None, None, None)

    def emit(self, result: FrameResult) -> None:
        """Write and flush one line. Raises StopRun when the reader of standard output is gone."""
        if self._first_at is None:
            self._first_at = result.frame.captured_at
        line = json.dumps(as_record(result, self._first_at), separators=(",", ":"))
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except BrokenPipeError:
            _discard_stdout()
            raise StopRun from None


def as_record(result: FrameResult, first_at: float) -> dict[str, Any]:
    """What a line says of a frame; `first_at` is when the first frame was captured."""
    record: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "frame": result.frame.index,
        "elapsed_s": round(result.frame.captured_at - first_at, 4),
        "faces": [_face(face) for face in result.faces],
        "timings_ms": {stage: round(spent, 3) for stage, spent in result.timings_ms.items()},
    }
    if result.frame.name:
        record["file"] = result.frame.name
    return record


def _face(face: TrackedFace) -> dict[str, Any]:
    box = face.track.box
    return {
        "id": face.track.id,
        "box": [round(side, 1) for side in (box.x, box.y, box.width, box.height)],
        "missed_s": round(face.track.missed_s, 3),
        "label": face.smoothed.label,
        "confidence": round(face.smoothed.confidence, 4),
        "raw": _shares(face.raw),
        "smoothed": _shares(face.smoothed),
    }


def _shares(prediction: Prediction) -> list[float]:
    return [round(float(share), 4) for share in prediction.probabilities]


def _discard_stdout() -> None:
    """Keep the interpreter from writing to the broken pipe once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
