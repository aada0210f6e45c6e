"""What usage record, drift and samples cost: processor time as a part of a frame's, and memory, all in one run.

python -m benchmarks.monitoring_cost --frames 3000
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from tests.visitors import month, write_hours

from fer_edge import Pipeline
from fer_edge.config import SamplesConfig
from fer_edge.model.bundle import MODEL_FILE
from fer_edge.monitoring.drift_watch import DriftWatch
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.sampler import Sampler
from fer_edge.monitoring.store import DAY, HOUR, MINUTE, ModelIdentity, UsageStore
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sources.demo import FPS, DemoSource

# Days of the record that the drift is read from: as long as hours are kept.
_DAYS = 400


def main(frames: Annotated[int, typer.Option(help="Frames of the demo.")] = 3000) -> None:
    """Print microseconds of processor time per frame, their ratio, and megabytes."""
    with tempfile.TemporaryDirectory() as folder, Pipeline() as pipeline, DemoSource(paced=False) as source:
        manifest = pipeline.model.manifest
        identity = ModelIdentity(manifest.name, manifest.version, manifest.files[MODEL_FILE])
        path = Path(folder) / "usage.sqlite"
        start = int(time.time()) // HOUR * HOUR - _DAYS * DAY
        now = write_hours(path, month(seed=1, days=_DAYS), identity, start)
        store = UsageStore(path, identity)
        store.append(now, Period())  # tidies the whole record, once
        stream = iter(source)
        for frame in islice(stream, 300):
            pipeline.process(frame)
        before = _megabytes()
        recorder = UsageRecorder(store, "the record", manifest.reference)
        config = SamplesConfig(path=Path(folder) / "samples")
        with recorder, Sampler(config, "ferplus7@0.1.0") as sampler:
            processing = recording = sampling = 0.0
            writer = time.pthread_getcpuclockid(recorder._writer.ident or 0)
            while recorder.drift.reason == "not read yet":  # it reads the drift first
                time.sleep(0.1)
            measured = time.clock_gettime(writer)
            for frame in islice(stream, frames):
                began = time.thread_time()  # of this thread alone, whatever else the machine does
                result = pipeline.process(frame)
                done = time.thread_time()
                recorder.emit(result)
                recorded = time.thread_time()
                sampler.emit(result)
                processing += done - began
                recording += recorded - done
                sampling += time.thread_time() - recorded
            measured = time.clock_gettime(writer) - measured
            minute = recorder._period  # a full one, as it is written each minute
            written = _seconds(lambda: store.append(now, minute))
            watch = DriftWatch(path, manifest.reference, clock=lambda: now)
            read = _seconds(watch.update)
            grown = _megabytes() - before
    frame_s = processing / frames
    rows = {
        "usage record, each frame": recording / frames,
        "usage record, faces measured in its own thread": measured / frames,
        "usage record, written once per minute": written / (MINUTE * FPS),
        f"drift of a record of {_DAYS} days, read once per hour": read / (HOUR * FPS),
        "samples, if they are on": sampling / frames,
    }
    typer.echo(f"processing: {1e6 * frame_s:.0f} µs per frame")
    for name, spent in {**rows, "together": sum(rows.values())}.items():
        typer.echo(f"{name}: {1e6 * spent:.2f} µs per frame, {100 * spent / frame_s:.2f} %")
    typer.echo(f"the drift is read in {1e3 * read:.0f} ms of processor time: {watch.report.state}")
    typer.echo(f"memory: {grown:.1f} MB")


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _megabytes() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    typer.run(main)
