"""Measure the speed of this machine: the pipeline on a source, without sinks."""

from __future__ import annotations

import json
import os
import platform
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from pydantic import TypeAdapter, ValidationError

from fer_edge import __version__
from fer_edge.config import RunConfig
from fer_edge.device.identity import board_name
from fer_edge.device.thermal import Heat, read_heat
from fer_edge.errors import ConfigError, SourceError, reason
from fer_edge.model.bundle import CURRENT_MODEL
from fer_edge.model.interpreter import runtime_name
from fer_edge.pipeline import Pipeline
from fer_edge.sources import open_source
from fer_edge.types import FrameResult

# The sustained rate is that of the slowest of this many parts of a run.
_PARTS = 10


@dataclass(frozen=True, slots=True)
class StageTime:
    """Milliseconds per frame: mean, median and high percentiles."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One measurement.

    Attributes:
        stages: times by name. `source` is waiting for a frame and decoding it; `frame` is everything else: `detect`
            (detector and appearance search), `track` (the rest of tracking), `classify` and `smooth`. A live source
            also has `latency`, from capture to labels.
        fps: frames per second, including the source.
        fps_sustained: frames per second in the slowest tenth of the run.
        overhead_percent: percentage of a frame that is neither source, detection nor classification.
        cpu_percent: CPU time over wall time; more than 100 if several cores are busy.
        peak_memory_mb: largest resident set of the process so far, 10^6 bytes.
        before: temperature and throttling before the run.
        after: the same after the run.
    """

    machine: dict[str, str]
    source: str
    model: str
    threads: int
    frames: int
    frames_with_faces: int
    faces_per_frame: float
    fps: float
    fps_sustained: float
    overhead_percent: float
    cpu_percent: float
    peak_memory_mb: float
    before: Heat
    after: Heat
    stages: dict[str, StageTime]

    def as_json(self) -> str:
        """The result as a JSON object."""
        return json.dumps(asdict(self), indent=2)


def read_result(path: Path) -> BenchResult:
    """Read what `fer-edge bench --json` wrote.

    Raises:
        ConfigError: the file cannot be read or holds something else.
    """
    try:
        result = TypeAdapter(BenchResult).validate_json(path.read_bytes())
        result.machine["board"]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error
    except (ValidationError, KeyError) as error:
        raise ConfigError(f"{path}: is not a result of fer-edge bench --json of this version") from error
    return result


def run_bench(config: RunConfig, frames: int, warm_up: int = 10) -> BenchResult:
    """Measure at most `frames` frames after `warm_up` others.

    Raises:
        SourceError: the source has no frame left after the warm-up.
        ModelError: the model cannot be used.
    """
    before = read_heat()
    samples: list[dict[str, float]] = []
    faces: list[int] = []
    with Pipeline(config) as pipeline, open_source(config, paced=False) as source:
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
            faces.append(len(result.visible_faces))
            asked_at = time.perf_counter()
            if len(samples) == frames:
                break
        if not samples:
            raise SourceError(f"{source.description}: has no frame after the {warm_up} warm-up frames")
        elapsed = time.perf_counter() - wall
        busy = time.process_time() - cpu
    totals = [sample["source"] + sample["frame"] for sample in samples]
    return BenchResult(
        machine=machine(),
        source=source.description,
        model=pipeline.model.manifest.name if config.model == CURRENT_MODEL else config.model,
        threads=config.threads,
        frames=len(samples),
        frames_with_faces=sum(map(bool, faces)),
        faces_per_frame=round(float(np.mean(faces)), 2),
        fps=round(len(samples) / elapsed, 1),
        fps_sustained=round(_slowest_part(totals), 1),
        overhead_percent=round(100 * sum(map(_overhead, samples)) / sum(totals), 1),
        cpu_percent=round(100 * busy / elapsed, 1),
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        before=before,
        after=read_heat(),
        stages={stage: _stage_time([sample[stage] for sample in samples]) for stage in samples[0]},
    )


def machine() -> dict[str, str]:
    """Describe this machine: board or processor, cores, versions."""
    return {
        "board": board_name(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "fer-edge": __version__,
        "runtime": runtime_name(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }


def _sample(result: FrameResult, source_s: float, frame_s: float) -> dict[str, float]:
    sample = {"source": 1000 * source_s, **result.timings_ms, "frame": 1000 * frame_s}
    if result.frame.live:
        sample["latency"] = 1000 * (time.monotonic() - result.frame.captured_at)
    return sample


def _overhead(sample: dict[str, float]) -> float:
    """Milliseconds of a frame that are neither detection nor classification."""
    return sample["frame"] - sample["detect"] - sample["classify"]


def _slowest_part(totals: list[float]) -> float:
    """Frames per second in the slowest part of the run, from milliseconds per frame."""
    parts = np.array_split(np.array(totals), min(_PARTS, len(totals)))
    return 1000 / max(float(part.mean()) for part in parts)


def _stage_time(values: list[float]) -> StageTime:
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return StageTime(*(round(float(value), 3) for value in (np.mean(values), p50, p95, p99)))
