"""Measure the CPU time per frame with six faces, and whether each keeps its id.

    python benchmarks/six_faces.py

Composite faces move over a grey wall of 640x480 pixels. Processor time is measured, which other programs disturb less.
"""

from __future__ import annotations

import math
import time

import cv2
import numpy as np
import typer

from fer_edge.assets.composites import load_composites
from fer_edge.config import RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sources.demo import FPS, HEIGHT, WIDTH
from fer_edge.types import Frame, Image

# Pixels of a face.
SIDE = 130
_CENTRES = [(x, y) for y in (130, 350) for x in (110, 320, 530)]
_SWING = 25.0


def main(seconds: float = 20.0) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    pipeline = Pipeline(RunConfig())
    faces = [cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for face in load_composites().values()][:6]
    spent: list[float] = []
    counts: list[int] = []
    ids: set[int] = set()
    for index in range(round(seconds * FPS)):
        frame = Frame(_draw([np.asarray(face, np.uint8) for face in faces], index / FPS), index / FPS, index)
        start = time.thread_time()
        result = pipeline.process(frame)
        spent.append(1000 * (time.thread_time() - start))
        counts.append(len(result.faces))
        ids.update(face.track.id for face in result.faces)
    p50, p95, p99 = np.percentile(spent, [50, 95, 99])
    typer.echo(
        f"{len(spent)} frames, {np.mean(counts):.2f} faces per frame, {len(ids)} ids: CPU ms per frame mean "
        f"{np.mean(spent):.2f}, p50 {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f}"
    )


def _draw(faces: list[Image], seconds: float) -> Image:
    image = np.full((HEIGHT, WIDTH), 120, np.uint8)
    for number, (face, (x, y)) in enumerate(zip(faces, _CENTRES, strict=True)):
        turn = 2 * math.pi * (seconds / 4 + number / 6)
        left, top = round(x + _SWING * math.cos(turn) - SIDE / 2), round(y + _SWING * math.sin(turn) - SIDE / 2)
        image[top : top + SIDE, left : left + SIDE] = face
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


if __name__ == "__main__":
    typer.run(main)
