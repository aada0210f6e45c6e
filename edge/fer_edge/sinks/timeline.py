"""A picture of a whole video: each face's probabilities over time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from fer_edge.errors import ConfigError, MissingExtra, reason
from fer_edge.labels import FERPLUS8
from fer_edge.overlay import COLOURS
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult, TrackedFace

_FORMATS = {".png", ".svg", ".pdf"}
_MOST_FACES = 6
"""Faces that are drawn, those that were seen longest."""
_STRIP = (1.03, 0.08)
"""Foot and height of the strip of shown labels, above the probabilities."""


class Timeline(Sink):
    """Collects probabilities, and draws them at the end."""

    def __init__(self, path: Path) -> None:
        """Raise MissingExtra if matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 - an optional part
        except ImportError as error:
            raise MissingExtra("matplotlib", "plot") from error
        self._new_figure = Figure
        self._path = path
        self._end = 0.0
        self._seen: dict[int, list[tuple[float, TrackedFace]]] = {}
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
        """Draw, and move the plot into place. Raises ConfigError where it cannot be written."""
        try:
            if self._seen:
                self._draw()
                self._aside.replace(self._path)
        except OSError as error:
            raise ConfigError(f"'{self._path}': cannot be written ({reason(error)})") from error
        finally:
            self._aside.unlink(missing_ok=True)

    def emit(self, result: FrameResult) -> None:
        """Note each face's probabilities."""
        self._end = result.frame.captured_at
        for face in result.faces:
            self._seen.setdefault(face.track.id, []).append((result.frame.captured_at, face))

    def _draw(self) -> None:
        longest = sorted(self._seen, key=lambda face: len(self._seen[face]), reverse=True)[:_MOST_FACES]
        longest = [face for face in longest if len(self._seen[face]) > 1] or longest[:1]
        figure = self._new_figure(figsize=(10, 1.2 + 1.6 * len(longest)), layout="constrained")
        rows = figure.subplots(len(longest), 1, sharex=True, squeeze=False)[:, 0]
        for axes, face in zip(rows, sorted(longest), strict=True):
            _draw_face(axes, self._seen[face])
            axes.set(xlim=(0, self._end), ylim=(0, sum(_STRIP)), yticks=(0, 0.5, 1), ylabel=f"face #{face}")
        rows[-1].set_xlabel("seconds")
        handles, names = rows[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
        figure.savefig(self._aside, dpi=120)


def _draw_face(axes: Any, seen: list[tuple[float, TrackedFace]]) -> None:  # noqa: ANN401 - matplotlib comes late
    """Smoothed probabilities, stacked, and above them the label that was shown."""
    times = [when for when, _ in seen]
    shares = np.array([face.smoothed.probabilities for _, face in seen]).T
    names = FERPLUS8[: len(shares)]
    colours = {name: tuple(level / 255 for level in reversed(COLOURS[name])) for name in names}
    axes.stackplot(times, shares, labels=names, colors=colours.values())
    ends = [*times[1:], times[-1]]
    for name in names:
        shown = [
            (when, end - when) for (when, face), end in zip(seen, ends, strict=True) if face.smoothed.label == name
        ]
        axes.broken_barh(shown, _STRIP, color=colours[name])
