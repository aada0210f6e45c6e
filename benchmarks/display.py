"""Measure what the screen costs: a video with and without a full screen of 1920x1080, three alternating rounds.

    xvfb-run -s "-screen 0 1920x1080x24" python benchmarks/display.py clip.mp4

Frames per second are wall-clock: run nothing else at the same time. CPU time is that of the recognising process.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import typer

from fer_edge.config import RunConfig, ScreenConfig
from fer_edge.pipeline import Pipeline
from fer_edge.run_stats import RunStats
from fer_edge.sinks import Sink
from fer_edge.sinks.display import Display
from fer_edge.sources.video import VideoSource

# Seconds in which the window opens.
SETTLE = 5.0


def main(clip: Path, rounds: int = 3) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    figures: dict[str, list[tuple[float, float]]] = {"none": [], "hdmi": []}
    for _ in range(rounds):
        for kind, measured in figures.items():
            measured.append(measure(clip, kind == "hdmi"))
    for kind, measured in figures.items():
        fps, cpu = np.median(measured, axis=0)
        typer.echo(f"--display {kind}: {fps:.1f} FPS, {cpu:.2f} ms of processor time per frame")


def measure(clip: Path, shown: bool) -> tuple[float, float]:
    """Frames per second, and CPU milliseconds per frame, over the whole video."""
    pipeline, summary = Pipeline(RunConfig()), RunStats()
    sinks: list[Sink] = []
    with ExitStack() as stack:
        source = stack.enter_context(VideoSource(clip))
        if shown:
            sinks.append(stack.enter_context(Display("hdmi", ScreenConfig())))
            time.sleep(SETTLE)
        cpu = time.process_time()
        pipeline.run(source, sinks, summary)
        return summary.fps, 1000 * (time.process_time() - cpu) / summary.frames


if __name__ == "__main__":
    typer.run(main)
