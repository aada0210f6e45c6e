"""The live line or progress bar on a terminal, or else a log of changes, on standard error."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from fer_edge.sinks import Sink
from fer_edge.terminal import console, printable
from fer_edge.types import FrameResult, TrackedFace

_log = logging.getLogger(__name__)

# The line is updated every so many seconds.
_REDRAW = 0.1


class LiveLine(Sink):
    """One line that is redrawn: faces, labels and frames per second.

    If the number of frames is known, it is a progress bar, which stays after the end.
    """

    description = "the terminal"

    def __init__(self, frames: int | None) -> None:
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
        if frames:
            columns = [BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(elapsed_when_finished=True), *columns]
        self._progress = Progress(*columns, console=console(), transient=frames is None, auto_refresh=False)
        self._task = self._progress.add_task("starting", total=frames)
        self._count = 0
        self._drawn_at = 0.0
        self._drawn_count = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._progress.update(self._task, completed=self._count, description="", refresh=True)
            self._progress.stop()

    def emit(self, result: FrameResult) -> None:
        """Redraw, if that is due."""
        self._count += 1
        now = time.monotonic()
        elapsed = now - self._drawn_at
        if elapsed < _REDRAW:
            return
        fps = (self._count - self._drawn_count) / elapsed
        self._drawn_at, self._drawn_count = now, self._count
        self._progress.update(
            self._task,
            completed=self._count,
            description=f"{fps:5.1f} fps  {_sentence(result.visible_faces)}",
            refresh=True,
        )


class ChangeLog(Sink):
    """Logs a line when the faces or their labels change."""

    description = "the log"

    def __init__(self) -> None:
        self._last = ""

    def emit(self, result: FrameResult) -> None:
        """Log, if something changed."""
        now = ", ".join(f"#{face.track.id} {face.smoothed.label}" for face in result.visible_faces)
        if now != self._last:
            _log.info("%s", now or "nobody")
        self._last = now


def _sentence(faces: Sequence[TrackedFace]) -> str:
    if not faces:
        return "nobody"
    return printable(
        ", ".join(f"#{face.track.id} {face.smoothed.label} {face.smoothed.confidence:.0%}" for face in faces)
    )
