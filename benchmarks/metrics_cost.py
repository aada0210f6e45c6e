"""What Prometheus metrics cost per frame, as a part of the frame's processing: both are measured in one run.

python -m benchmarks.metrics_cost --frames 2000
"""

from __future__ import annotations

import time
from itertools import islice
from statistics import median
from typing import Annotated

import typer

from fer_edge import Pipeline
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.sources.demo import DemoSource


def main(frames: Annotated[int, typer.Option(help="Frames of the demo.")] = 2000) -> None:
    """Print microseconds of processor time per frame, medians over fifties of frames, and their ratio."""
    processing: list[float] = []
    counting: list[float] = []
    with Pipeline() as pipeline, DemoSource(paced=False) as source:
        metrics = Metrics(pipeline.model.manifest)
        stream = islice(source, frames)
        while some := list(islice(stream, 50)):  # many at a time: to read the clock costs as much as to count
            began = time.thread_time()  # of this thread alone, whatever else the machine does
            results = [pipeline.process(frame) for frame in some]
            done = time.thread_time()
            for result in results:
                metrics.emit(result)
            processing.append((done - began) / len(some))
            counting.append((time.thread_time() - done) / len(some))
    began = time.thread_time()
    size = len(metrics.text())
    scrape = time.thread_time() - began
    frame_s, metrics_s = median(processing), median(counting)
    typer.echo(f"processing: {1e6 * frame_s:.0f} µs per frame")
    typer.echo(f"metrics: {1e6 * metrics_s:.1f} µs per frame, {100 * metrics_s / frame_s:.2f} %")
    typer.echo(f"one scrape: {1e3 * scrape:.1f} ms for {size} bytes")


if __name__ == "__main__":
    typer.run(main)
