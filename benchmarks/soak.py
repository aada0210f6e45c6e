"""Measure memory, descriptors, threads and latency of a long run, to find leaks.

    python benchmarks/soak.py --frames 200000 --out soak.csv --plot docs/soak.png
    python benchmarks/soak.py --hours 24 --source 0

It runs the pipeline with the JSON sink of a service: a log that is rotated, and deleted at the end. The demo runs as
fast as possible. The plot needs matplotlib.
"""

from __future__ import annotations

import csv
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from fer_edge.config import RunConfig, load_config
from fer_edge.pipeline import Pipeline
from fer_edge.sinks import open_sinks
from fer_edge.sources import open_source

LOG = {"append": True, "sync_s": 5.0, "max_mb": 5.0, "keep": 4}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the table, over the frames since the last one."""

    frames: int
    seconds: float
    memory_mb: float
    descriptors: int
    threads: int
    p50_ms: float
    p99_ms: float


def main(
    frames: Annotated[int | None, typer.Option(help="Stop after this many frames.")] = None,
    hours: Annotated[float | None, typer.Option(help="Stop after this time.")] = None,
    source: str = "demo",
    every: Annotated[int, typer.Option(help="Frames between two samples.")] = 2000,
    out: Annotated[Path, typer.Option(help="The table, CSV.")] = Path("soak.csv"),
    plot: Annotated[Path | None, typer.Option(help="A picture of it, PNG.")] = None,
) -> None:
    """Run, sample and report."""
    if frames is None and hours is None:
        raise typer.BadParameter("give --frames or --hours")
    samples = []
    with out.open("w", newline="") as file, tempfile.TemporaryDirectory() as folder:
        table = csv.writer(file)
        table.writerow(field.name for field in fields(Sample))
        config = load_config(None, {"source": source, "json": f"{folder}/faces.jsonl", "json_lines": LOG})
        for sample in soak(config, frames, hours, every):
            samples.append(sample)
            table.writerow(astuple(sample))
            file.flush()
    report(samples)
    if plot:
        draw(samples, plot)


def soak(config: RunConfig, frames: int | None, hours: float | None, every: int) -> Iterator[Sample]:
    """Yield a sample every so many frames."""
    cv2.setNumThreads(config.threads)
    pipeline = Pipeline(config)
    start = time.monotonic()
    spent: list[float] = []
    with ExitStack() as stack:
        source = stack.enter_context(open_source(config, paced=False))
        sinks = open_sinks(config, stack, source.fps)
        for count, frame in enumerate(source, 1):
            begun = time.perf_counter()
            result = pipeline.process(frame)
            for sink in sinks:
                sink.emit(result)
            spent.append(1000 * (time.perf_counter() - begun))
            seconds = time.monotonic() - start
            if count % every == 0:
                yield sample(count, seconds, spent)
                spent.clear()
            if count == frames or (hours is not None and seconds > 3600 * hours):
                return


def sample(frames: int, seconds: float, spent: list[float]) -> Sample:
    """Look at this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    p50, p99 = np.percentile(spent, [50, 99])
    return Sample(
        frames,
        round(seconds, 1),
        round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 2),
        len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - no more than their number
        threading.active_count(),
        round(float(p50), 3),
        round(float(p99), 3),
    )


def report(samples: list[Sample]) -> None:
    """Print how the last tenth compares with the second; the first warms up."""
    tenth = max(len(samples) // 10, 1)
    early, late = samples[tenth : 2 * tenth] or samples, samples[-tenth:]
    print(f"{samples[-1].frames} frames in {samples[-1].seconds / 3600:.2f} hours; second tenth -> last tenth:")  # noqa: T201
    for field in fields(Sample)[2:]:
        before, after = (float(np.mean([getattr(one, field.name) for one in part])) for part in (early, late))
        print(f"  {field.name:12} {before:8.2f} -> {after:8.2f}")  # noqa: T201


def draw(samples: list[Sample], path: Path) -> None:
    """Draw them over the frames."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    thousands = [one.frames / 1000 for one in samples]
    memory = [one.memory_mb for one in samples]
    panels[0].plot(thousands, memory, color="#0072B2")
    panels[0].set(ylabel="memory, MB", ylim=(0, 1.2 * max(memory)))  # a flat line would be the border
    panels[1].plot(thousands, [one.descriptors for one in samples], color="#E69F00", label="descriptors")
    panels[1].plot(thousands, [one.threads for one in samples], color="#009E73", label="threads")
    panels[1].set(ylabel="count", ylim=(0, None))
    panels[1].legend(loc="center right")
    panels[2].plot(thousands, [one.p99_ms for one in samples], color="#D55E00", label="99 %")
    panels[2].plot(thousands, [one.p50_ms for one in samples], color="#0072B2", label="median")
    panels[2].set(ylabel="ms per frame", xlabel="thousand frames", ylim=(0, None))
    panels[2].legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    typer.run(main)
