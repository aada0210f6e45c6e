"""The overlay beside an older one from the repository's history: processor time per frame, and pictures of both.

    python benchmarks/overlay.py 6706580 --picture docs/overlay.jpg

Three composite faces on a grey wall, in turns in one run, one thread.
"""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated

import cv2
import numpy as np
import typer

from fer_edge.assets.composites import load_composites
from fer_edge.config import RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sinks.overlay import draw
from fer_edge.types import Frame, FrameResult, Image

OVERLAY = "edge/fer_edge/sinks/overlay.py"
SIZES = ((320, 240), (640, 480), (1280, 720), (1920, 1080))
ROUNDS, FRAMES = 5, 40
# Faces of the picture in a frame 640 wide: label, left, top, side.
FACES = (("happy", 40, 60, 150), ("surprise", 240, 250, 170), ("angry", 450, 70, 130))

Draw = Callable[[FrameResult, tuple[int, int]], Image]


def main(
    revision: Annotated[str, typer.Argument(help="The commit whose overlay is the other.")],
    picture: Annotated[Path | None, typer.Option(help="Both overlays side by side, as a picture.")] = None,
) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    draws: dict[str, Draw] = {"old": _draw_of(revision), "new": draw}
    with Pipeline(RunConfig()) as pipeline:
        result = pipeline.process(Frame(scene(), still=True))
    for size in SIZES:
        scaled = np.asarray(cv2.resize(result.frame.image, size), np.uint8)
        spent: dict[str, list[float]] = {name: [] for name in draws}
        for _ in range(ROUNDS):
            for name, function in draws.items():
                spent[name].append(_time(function, result, size))
        copy = _time(lambda _result, _size: scaled.copy(), result, size)  # noqa: B023 - used before the next round
        old, new = (median(spent[name]) - copy for name in ("old", "new"))
        typer.echo(f"{size[0]}x{size[1]}: old {old:.2f} ms, new {new:.2f} ms, ratio {new / old:.2f}")
    if picture:
        both = [function(result, size) for function in draws.values() for size in ((640, 480),)]
        cv2.imwrite(str(picture), np.hstack(both), [cv2.IMWRITE_JPEG_QUALITY, 80])


def _draw_of(revision: str) -> Draw:
    code = subprocess.run(["git", "show", f"{revision}:{OVERLAY}"], check=True, capture_output=True).stdout  # noqa: S603, S607
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "old_overlay.py"
        path.write_bytes(code)
        specification = importlib.util.spec_from_file_location("old_overlay", path)
        assert specification  # noqa: S101
        assert specification.loader  # noqa: S101
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    function: Draw = module.draw
    return function


def scene() -> Image:
    """Three composite faces on a grey wall, shape (480, 640, 3), BGR."""
    image = np.full((480, 640), 120, np.uint8)
    composites = load_composites()
    for label, left, top, side in FACES:
        image[top : top + side, left : left + side] = cv2.resize(composites[label], (side, side))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


def _time(function: Draw, result: FrameResult, size: tuple[int, int]) -> float:
    start = time.thread_time()
    for _ in range(FRAMES):
        function(result, size)
    return 1000 * (time.thread_time() - start) / FRAMES


if __name__ == "__main__":
    typer.run(main)
