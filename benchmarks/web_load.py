"""Measure what viewers of the live page cost: frames per second, CPU time and memory, in turns in one run.

    python benchmarks/web_load.py clip.mp4

A run reads the clip again and again, as fast as it can, which is the hardest case: a camera's frames leave time between
them. Each viewer reads the stream and the events, as the page does, in a process of lower priority. Every number of
viewers comes once per round. It needs ffmpeg. Run nothing else at the same time, on three cores or more, since viewers
are usually on other machines.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import httpx
import typer

VIEWERS = Path(__file__).with_name("web_viewers.py")
# Seconds before measuring, in which connections settle.
SETTLE = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """What was measured over one window."""

    fps: float
    # Milliseconds of processor time per frame: of the thread that recognises, and of all threads.
    own_ms: float
    all_ms: float
    # Resident memory in MB.
    memory: float
    # Pictures per second that each viewer got.
    pictures: float


def main(
    clip: Annotated[str, typer.Argument(help="A video, or demo: live, 30 frames per second.")],
    viewers: Annotated[str, typer.Option(help="Numbers of viewers to compare.")] = "0,3,20,100",
    rounds: int = 8,
    seconds: Annotated[float, typer.Option(help="Length of a window.")] = 3.0,
) -> None:
    """Measure and print a table."""
    counts = [int(count) for count in viewers.split(",")]
    samples: dict[int, list[Sample]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder, running(looped(clip, Path(folder))) as (process, port):
        for _ in range(rounds):
            for count in counts:
                samples[count].append(measure(process.pid, port, count, seconds))
    typer.echo(
        "| viewers | frames per second | of none | own CPU ms per frame | all | memory, MB | pictures per second |"
    )
    typer.echo("|---|---|---|---|---|---|---|")
    base = median(sample.fps for sample in samples[counts[0]])
    for count in counts:
        fps, own, every, memory, pictures = (median(values) for values in zip(*samples[count], strict=True))
        row = f"{count} | {fps:.0f} | {fps / base:.0%} | {own:.2f} | {every:.2f} | {memory:.0f} | {pictures:.1f}"
        typer.echo(f"| {row} |")


def looped(clip: str, folder: Path) -> str:
    """The clip some hundred times, one after the other."""
    if clip == "demo":
        return clip
    out = str(folder / f"looped{Path(clip).suffix}")
    command = ["ffmpeg", "-loglevel", "error", "-stream_loop", "400", "-i", clip, "-c", "copy", "-an", out]
    subprocess.run(command, check=True)  # noqa: S603
    return out


@contextmanager
def running(clip: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A run with the page, and its port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "fer_edge", "run", clip, "--web", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        wait_until_well(port)
        yield process, port
    finally:
        process.terminate()
        process.wait()


def wait_until_well(port: int) -> None:
    """Wait for the first frames."""
    for _ in range(600):
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200 and processed(port) > 0:
                return
        time.sleep(0.1)
    raise SystemExit("the run does not start")


def measure(pid: int, port: int, count: int, seconds: float) -> Sample:
    """One window with so many viewers."""
    command = [sys.executable, str(VIEWERS), str(port), str(count), str(SETTLE + seconds)]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    time.sleep(SETTLE)
    start, frames, before = time.monotonic(), processed(port), processor_times(pid)
    time.sleep(seconds)
    spent, done = time.monotonic() - start, processed(port) - frames
    own, every = (after - earlier for after, earlier in zip(processor_times(pid), before, strict=True))
    memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    pictures = float(watching.communicate()[0] or 0)
    return Sample(done / spent, 1000 * own / done, 1000 * every / done, memory, pictures)


def processed(port: int) -> int:
    """Frames so far."""
    return int(httpx.get(f"http://127.0.0.1:{port}/api/state", timeout=60).json()["frames"])


def processor_times(pid: int) -> tuple[float, float]:
    """Seconds of the main thread, which recognises, and of all threads."""
    return _processor_time(Path(f"/proc/{pid}/task/{pid}/stat")), _processor_time(Path(f"/proc/{pid}/stat"))


def _processor_time(path: Path) -> float:
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    typer.run(main)
