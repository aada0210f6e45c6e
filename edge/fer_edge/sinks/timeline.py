"""Plot a whole video: each face's probabilities over time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from fer_edge.errors import ConfigError, MissingExtra, reason
from fer_edge.labels import FERPLUS8
from fer_edge.sinks import Sink
from fer_edge.sinks.overlay import COLOURS
from fer_edge.types import FrameResult, Prediction

_FORMATS = {".png", ".svg", ".pdf"}
# At most this many faces are drawn, those seen longest.
_MOST_FACES = 6
# At most this many points per face are kept, spread over its time: more than the plot has pixels.
_MOST_POINTS = 2000
# The strip of shown labels begins above the probabilities at this value and has this height.
_STRIP = (1.03, 0.08)


class _Face:
    """The predictions of one face, at increasing intervals."""

    def __init__(self) -> None:
        self.frames = 0
        self.times: list[float] = []
        self.readings: list[Prediction] = []
        self._step = 1

    def add(self, when: float, reading: Prediction) -> None:
        """Keep one frame in so many; if there are too many, drop every second one."""
        if self.frames % self._step == 0:
            self.times.append(when)
            self.readings.append(reading)
        self.frames += 1
        if len(self.times) > _MOST_POINTS:
            del self.times[1::2], self.readings[1::2]
            self._step *= 2


class Timeline(Sink):
    """Collects probabilities, and plots them at the end. A day needs no more memory than some minutes."""

    def __init__(self, path: Path) -> None:
        """Raise MissingExtra if matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 - an optional part
        except ImportError as error:
            raise MissingExtra("matplotlib", "plot") from error
        self._new_figure = Figure
        self._path = path
        self._end = 0.0
        self._seen: dict[int, _Face] = {}
        self._labels: tuple[str, ...] = FERPLUS8
        self.description = str(path)

    def __enter__(self) -> Self:
        if self._path.suffix.lower() not in _FORMATS:
            raise ConfigError(f"'{self._path}': a plot is written as {', '.join(sorted(_FORMATS))}")
        self._aside = self._path.with_name(f".{self._path.stem}.{os.getpid()}.part{self._path.suffix}")
        try:
            self._aside.touch()
        except (OSError, ValueError) as error:
            raise ConfigError(f"'{self._path}': cannot be written ({reason(error)})") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Draw, and move the plot into place. Raises ConfigError if it cannot be written."""
        try:
            if self._seen:
                self._draw()
                self._aside.replace(self._path)
        except OSError as error:
            raise ConfigError(f"'{self._path}': cannot be written ({reason(error)})") from error
        finally:
            self._aside.unlink(missing_ok=True)

    def emit(self, result: FrameResult) -> None:
        """Store each face's probabilities."""
        self._end = result.frame.captured_at
        self._labels = result.labels or FERPLUS8
        here = {face.track.id for face in result.visible_faces}
        if not here <= self._seen.keys():
            self._forget_all_but(here)
        for face in result.visible_faces:
            self._seen.setdefault(face.track.id, _Face()).add(result.frame.captured_at, face.smoothed)

    def _longest(self) -> list[int]:
        return sorted(self._seen, key=lambda face: self._seen[face].frames, reverse=True)[:_MOST_FACES]

    def _forget_all_but(self, here: set[int]) -> None:
        """Drop faces that have left for good, except those that may be drawn."""
        kept = here.union(self._longest())
        self._seen = {number: face for number, face in self._seen.items() if number in kept}

    def _draw(self) -> None:
        longest = self._longest()
        longest = [face for face in longest if self._seen[face].frames > 1] or longest[:1]
        figure = self._new_figure(figsize=(10, 1.2 + 1.6 * len(longest)), layout="constrained")
        rows = figure.subplots(len(longest), 1, sharex=True, squeeze=False)[:, 0]
        for axes, face in zip(rows, sorted(longest), strict=True):
            _draw_face(axes, self._seen[face], self._labels)
            axes.set(xlim=(0, self._end), ylim=(0, sum(_STRIP)), yticks=(0, 0.5, 1), ylabel=f"face #{face}")
        rows[-1].set_xlabel("seconds")
        handles, names = rows[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
        figure.savefig(self._aside, dpi=120)


def _draw_face(axes: Any, seen: _Face, labels: tuple[str, ...]) -> None:  # noqa: ANN401 - matplotlib comes late
    """Plot smoothed probabilities, stacked, and above them the shown label."""
    shares = np.array([reading.probabilities for reading in seen.readings]).T
    names = labels[: len(shares)]
    colours = {
        name: tuple(level / 255 for level in reversed(COLOURS[name])) if name in COLOURS else f"C{number}"
        for number, name in enumerate(names)
    }
    axes.stackplot(seen.times, shares, labels=names, colors=colours.values())
    ends = [*seen.times[1:], seen.times[-1]]
    for name in names:
        shown = [
            (when, end - when)
            for when, end, reading in zip(seen.times, ends, seen.readings, strict=True)
            if reading.label == name
        ]
        axes.broken_barh(shown, _STRIP, color=colours[name])
