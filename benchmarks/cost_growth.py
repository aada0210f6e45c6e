"""How the CPU time per frame grows with faces and with pixels, and what an idle room costs, for both detectors.

    python -m benchmarks.cost_growth

Composite faces move on a grey wall with sensor noise. All is measured in one run: read the ratios. "Times" is relative
to one face at 640x480.
"""

from __future__ import annotations

import math
import time
from itertools import product
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fer_edge.assets.composites import load_composites
from fer_edge.config import DetectorConfig, RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.types import Frame, Image

DETECTORS = ("haar", "mediapipe")
# Faces, frame width and height; whether they move.
CASES = [(count, 640, 480, True) for count in (0, 1, 6, 20)]
CASES += [(1, width, height, True) for width, height in ((320, 240), (1280, 720), (1920, 1080), (3840, 2160))]
CASES += [(0, 640, 480, False)]
REFERENCE = (1, 640, 480, True)
# Side of a face as part of the frame's height, swing of its way in sides, and standard deviation of the noise.
SIDE, SWING, NOISE = 0.16, 0.25, 3.0
COLUMNS, FPS = 5, 30


def main(seconds: Annotated[float, typer.Option(help="Length of each case.")] = 10.0) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    spent = {}
    for case, name in track(list(product(CASES, DETECTORS)), transient=True):
        spent[case, name] = cost_ms(name, case, round(seconds * FPS))
    table = Table("", *(f"{name}, {unit}" for name in DETECTORS for unit in ("ms per frame", "times")))
    for case in CASES:
        cells = ((spent[case, name], spent[case, name] / spent[REFERENCE, name]) for name in DETECTORS)
        table.add_row(title(case), *(f"{value:.2f}" for pair in cells for value in pair))
    Console(width=120).print(table)


def title(case: tuple[int, int, int, bool]) -> str:
    """What a case shows."""
    count, width, height, moves = case
    return f"{count} face{'s' * (count != 1)}, {width}x{height}" + ("" if moves else ", nothing moves")


def cost_ms(name: str, case: tuple[int, int, int, bool], frames: int) -> float:
    """CPU time per frame, in ms, without making the frames; the first second is left out."""
    _, width, height, moves = case
    rng = np.random.default_rng(1)
    noises = [rng.normal(0, NOISE, (height, width)).astype(np.int16) for _ in range(3)]
    faces = [np.asarray(face, np.uint8) for face in load_composites().values()]
    spent = 0.0
    with Pipeline(RunConfig(detector=DetectorConfig.model_validate({"name": name}))) as pipeline:
        for index in range(frames + FPS):
            image = draw(faces, case, index if moves else 0) + noises[index % 3]
            grey = np.asarray(np.clip(image, 0, 255), np.uint8)
            frame = Frame(np.asarray(cv2.merge([grey] * 3), np.uint8), index / FPS, index)
            start = time.thread_time()
            pipeline.process(frame)
            spent += (time.thread_time() - start) * (index >= FPS)
    return 1000 * spent / frames


def draw(faces: list[Image], case: tuple[int, int, int, bool], index: int) -> Image:
    """Faces in rows on a wall, each on a circle of its own, and a lamp that moves; shape (height, width)."""
    count, width, height, _ = case
    side = round(SIDE * height)
    image = np.full((height, width), 120, np.uint8)
    cv2.circle(image, (index * 3 % width, height - side // 4), side // 5, 200, -1)
    for number in range(count):
        row, column = divmod(number, COLUMNS)
        turn = 2 * math.pi * (index / FPS / 4 + number / 6)
        x = round((column + 0.5) * width / COLUMNS + SWING * side * math.cos(turn) - side / 2)
        y = round((row + 0.5) * 0.95 * height / 4 + SWING * side * math.sin(turn) / 2 - side / 2)
        face = cv2.resize(faces[number % len(faces)], (side, side), interpolation=cv2.INTER_CUBIC)
        image[max(y, 0) : y + side, x : x + side] = face[max(-y, 0) :]
    return image


if __name__ == "__main__":
    typer.run(main)
