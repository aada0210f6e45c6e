"""Try a model in a process of its own: one that crashes the interpreter ends that process alone.

python -m fer_edge.updates.probe FOLDER DETECTOR THREADS
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_edge.errors import ModelError

# The process may take so many seconds, and so many bytes of memory for its data.
_TIMEOUT_S, _MOST_MEMORY = 180, 1 << 30
# The speed is measured over so many frames of the demo, or seconds if they are over first.
_FRAMES, _WARM_UP, _SECONDS = 90, 10, 10.0
# What the process says last if the model is refused.
_REFUSED = "refused: "


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found.

    Attributes:
        golden: largest difference from the golden outputs, in steps of 1/256.
        fps: frames per second on the built-in demo, all stages together.
        ms_per_face: milliseconds per face of the classifier alone.
    """

    golden: int
    fps: float
    ms_per_face: float


def probe_bundle(folder: Path, detector: str = "haar", threads: int = 1) -> Probe:
    """Compare a model's outputs with the golden ones and measure its speed, in another process.

    Args:
        folder: a bundle whose hashes were verified.
        detector: the detector with which its speed is measured.
        threads: of the model and of OpenCV.

    Raises:
        ModelError: it computes something else here, or it crashed, hung or ran out of memory.
    """
    command = [sys.executable, "-m", __name__, str(folder), detector, str(threads)]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{folder}: the model was not done after {_TIMEOUT_S} s. Nothing was installed") from None
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
    if done.returncode == 0:
        return Probe(**json.loads(lines[-1]))
    if lines[-1].startswith(_REFUSED):
        raise ModelError(lines[-1].removeprefix(_REFUSED))
    how = f"crashes it ({signal.Signals(-done.returncode).name})" if done.returncode < 0 else f"fails ({lines[-1]})"
    raise ModelError(f"{folder}: the model was run in a process of its own, and {how}. Nothing was installed")


def main() -> None:
    """Try the model that the command line names, and print what was found as JSON."""
    folder, detector, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    try:
        found = _probe(folder, detector, threads)
    except ModelError as error:
        sys.exit(f"{_REFUSED}{error}")
    except MemoryError:
        sys.exit(f"{_REFUSED}{folder}: takes more than {_MOST_MEMORY >> 20} MB of memory. Nothing was installed")
    print(json.dumps(asdict(found)))  # noqa: T201 - read by the parent


def _probe(folder: Path, detector: str, threads: int) -> Probe:
    from fer_edge.config import RunConfig  # noqa: PLC0415 - the parent needs none of it
    from fer_edge.model.bundle import load_bundle  # noqa: PLC0415
    from fer_edge.model.golden import self_test  # noqa: PLC0415
    from fer_edge.pipeline import Pipeline  # noqa: PLC0415
    from fer_edge.sources.demo import DemoSource  # noqa: PLC0415

    golden = self_test(load_bundle(folder))
    config = RunConfig.model_validate({"model": str(folder), "threads": threads, "detector": {"name": detector}})
    frames = faces = 0
    classifying = began = 0.0
    with Pipeline(config) as pipeline, DemoSource(paced=False) as source:
        for frame in source:
            if frame.index == _WARM_UP:
                began = time.perf_counter()
            result = pipeline.process(frame)
            if began:
                frames += 1
                faces += len(result.visible_faces)
                classifying += result.timings_ms["classify"]
                if frames == _FRAMES or time.perf_counter() - began > _SECONDS:
                    break
    elapsed = time.perf_counter() - began
    return Probe(golden, round(frames / elapsed, 1), round(classifying / max(faces, 1), 3))


if __name__ == "__main__":
    main()
