"""How fast this machine is: the pipeline on a source, without sinks."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer_edge import __version__
from fer_edge.config import RunConfig
from fer_edge.errors import SourceError
from fer_edge.interpreter import runtime_name
from fer_edge.pipeline import Pipeline
from fer_edge.sources import open_source
from fer_edge.types import FrameResult


@dataclass(frozen=True, slots=True)
class StageTime:
    """Milliseconds a frame: the median and the 95th percentile."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One measurement.

    Attributes:
        stages: by name; `source` is the wait for a frame and its decoding, `frame` all the rest together.
        fps: frames a second, the source included.
        cpu_percent: processor time over wall time, of one core; more than 100 where several are busy.
        peak_memory_mb: the process' largest resident set so far, 10^6 bytes.
    """

    machine: dict[str, str]
    source: str
    model: str
    threads: int
    frames: int
    frames_with_faces: int
    fps: float
    cpu_percent: float
    peak_memory_mb: float
    stages: dict[str, StageTime]

    def as_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return asdict(self)


def run_bench(config: RunConfig, frames: int, warm_up: int = 10) -> BenchResult:
    """Measure at most `frames` frames after `warm_up` others.

    Raises:
        SourceError: the source has no frame left after the warm-up.
        ModelError: the model cannot be used.
    """
    pipeline = Pipeline(config)
    samples: list[dict[str, float]] = []
    with_faces = 0
    with open_source(config, paced=False) as source:
        for count, frame in enumerate(source):
            if count == warm_up:
                wall, cpu = time.perf_counter(), time.process_time()
                asked_at = wall
            if count < warm_up:
                pipeline.process(frame)
                continue
            got_at = time.perf_counter()
            result = pipeline.process(frame)
            samples.append(_sample(result, got_at - asked_at, time.perf_counter() - got_at))
            with_faces += bool(result.faces)
            asked_at = time.perf_counter()
            if len(samples) == frames:
                break
        if not samples:
            raise SourceError(f"{source.description}: has no frame after the {warm_up} that warm up")
        elapsed = time.perf_counter() - wall
        busy = time.process_time() - cpu
    return BenchResult(
        machine=machine(),
        source=source.description,
        model=config.model,
        threads=config.threads,
        frames=len(samples),
        frames_with_faces=with_faces,
        fps=round(len(samples) / elapsed, 1),
        cpu_percent=round(100 * busy / elapsed, 1),
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        stages={stage: _percentiles([sample[stage] for sample in samples]) for stage in samples[0]},
    )


def machine() -> dict[str, str]:
    """What was measured on: board or processor, cores, versions."""
    return {
        "board": _board(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "fer-edge": __version__,
        "runtime": runtime_name(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }


def _board() -> str:
    model = Path("/proc/device-tree/model")
    if model.is_file():
        return model.read_text(errors="replace").strip("\0\n ")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _sample(result: FrameResult, source_s: float, frame_s: float) -> dict[str, float]:
    return {"source": 1000 * source_s, **result.timings_ms, "frame": 1000 * frame_s}


def _percentiles(values: list[float]) -> StageTime:
    p50, p95 = np.percentile(values, [50, 95])
    return StageTime(round(float(p50), 3), round(float(p95), 3))
