"""Compare fer-edge with its peers: the same clip, one process each, one core, in turns.

    python3 -m venv fer-env && fer-env/bin/pip install fer 'setuptools<81'
    python3 -m venv our-env && our-env/bin/pip install .
    python -m benchmarks.peers CLIP --still PORTRAIT --fer fer-env --ours our-env

The simple loop (OpenCV's cascade on every frame, then Keras per face) runs in the environment of this program, which
needs the `train` extra. A second clip, of one large moving face, is made from the still. Frames per second depend on
other load, CPU time less.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from benchmarks.peer_loops.moving_face import make_clip
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "ferplus7" / "model.keras"
OURS = ("fer-edge", "fer-edge, mediapipe")
ROWS = (
    ("start_up_s", "start-up to first result, s", ".1f"),
    ("fps", "frames per second", ".1f"),
    ("cpu_ms", "CPU ms per frame", ".2f"),
    ("peak_mb", "peak memory, MB", ".0f"),
    ("found", "frames with a face", ".1%"),
)


def main(
    clip: Path,
    still: Annotated[Path, typer.Option(help="A portrait.")],
    fer: Annotated[Path, typer.Option(help="The environment with fer.")],
    ours: Annotated[Path, typer.Option(help="The environment with fer-edge.")],
    frames: Annotated[int, typer.Option(help="At most so many, after ten others.")] = 250,
    rounds: int = 3,
) -> None:
    """Measure and print."""
    core = min(os.sched_getaffinity(0))
    peers = {
        "simple loop": [sys.executable, "simple_loop", str(MODEL)],
        "fer": [str(fer / "bin" / "python"), "fer_loop"],
        "fer-edge": [str(ours / "bin" / "python"), "ours_loop", "haar"],
        "fer-edge, mediapipe": [str(ours / "bin" / "python"), "ours_loop", "mediapipe"],
    }
    sizes = {"fer": _megabytes(fer), "fer-edge": _megabytes(ours)}
    with tempfile.TemporaryDirectory() as folder:
        moving = Path(folder) / "moving_face.mp4"
        make_clip(still, moving)
        for source in (clip, moving):
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
            for _ in range(rounds):
                for name, command in peers.items():
                    runs[name].append(_run(command, source.absolute(), frames, core))
            report(source.name, runs, sizes)


def _run(command: list[str], clip: Path, frames: int, core: int) -> dict[str, float]:
    python, program, *more = command
    module = f"benchmarks.peer_loops.{program}"
    arguments = [python, "-m", module, str(clip), str(time.monotonic()), str(frames), *more]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
    done = subprocess.run(  # noqa: S603 - the programs beside this one
        ["taskset", "-c", str(core), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(f"{program}: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(clip: str, runs: dict[str, list[dict[str, float]]], sizes: dict[str, int]) -> None:
    """Print the medians, and the CPU time of each peer relative to fer-edge."""
    table = Table(title=f"{clip}, {runs['fer'][0]['frames']:.0f} frames, median of {len(runs['fer'])} rounds")
    table.add_column("")
    for name in runs:
        table.add_column(name, justify="right")
    medians = {name: {row: median(run[row] for run in several) for row, _, _ in ROWS} for name, several in runs.items()}
    for row, heading, form in ROWS:
        table.add_row(heading, *(format(medians[name][row], form) for name in runs))
    for own in OURS:
        ratios = (medians[name]["cpu_ms"] / medians[own]["cpu_ms"] for name in runs)
        table.add_row(f"CPU time, times that of {own}", *(f"{ratio:.1f}" for ratio in ratios))
    table.add_row("environment, MB", *(str(sizes.get(name, "")) for name in runs))
    Console().print(table)


def _megabytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) // 1_000_000


if __name__ == "__main__":
    typer.run(main)
