"""Whether memory stays flat: the whole loop over many frames, with the resident memory drawn.

    python benchmarks/memory.py

Ten seconds of the demo, rendered once, are shown again and again. Ctrl-C ends it early and still reports.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import typer
from matplotlib.figure import Figure

from fer_edge.config import RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sinks.jsonl import JsonLines
from fer_edge.sources.demo import FPS, DemoSource, scene_at
from fer_edge.summary import Summary
from fer_edge.types import Frame, Image

_SECONDS = 10
_SAMPLE_EVERY = 500
_SETTLED = 0.1
"""Part of the run after which caches are full."""


class Loop:
    """A source that shows the same frames for ever, and notes the memory."""

    description = "the demo, again and again"
    fps = FPS
    frames: int | None = None
    live = False

    def __init__(self, most: int) -> None:
        with DemoSource(paced=False) as demo:
            self._images: list[Image] = [demo.render(scene_at(index / FPS)) for index in range(int(_SECONDS * FPS))]
        self._most = most
        self.samples: list[tuple[int, float]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def stop(self) -> None:
        """Nothing calls it."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames at 30 a second of media time."""
        for index in range(self._most):
            if index % _SAMPLE_EVERY == 0:
                self.samples.append((index, resident_mb()))
            yield Frame(self._images[index % len(self._images)], index / FPS, index)


def main(frames: int = 200_000, plot: Path = Path("docs/memory.png")) -> None:
    """Run, print the slope and draw."""
    cv2.setNumThreads(1)
    summary, source = Summary(), Loop(frames)
    with JsonLines("/dev/null") as sink, suppress(KeyboardInterrupt):
        Pipeline(RunConfig()).run(source, [sink], summary)
    samples = np.array(source.samples)
    settled = samples[int(_SETTLED * len(samples)) :]
    (slope, base), covariance = np.polyfit(settled[:, 0], settled[:, 1], 1, cov=True)
    error = 1.96 * float(np.sqrt(covariance[0, 0]))
    typer.echo(
        f"{summary.frames} frames, {summary.faces} faces: {base:.1f} MB, slope {1e5 * slope:+.3f} MB in 100 000 frames "
        f"(95 % interval +-{1e5 * error:.3f})"
    )
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(samples[:, 0], samples[:, 1], color="#0072B2")
    axes.set(xlabel="frames", ylabel="resident memory, MB", ylim=(0, 1.2 * samples[:, 1].max()))
    figure.savefig(plot, dpi=110, metadata={"Software": None})


def resident_mb() -> float:
    """Resident memory of this process, 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    typer.run(main)
