"""Measure the CPU time per frame while nobody is there: in a still room, and in one with motion.

    python benchmarks/idle_room.py

The demo's wall with a sensor's noise, 640x480, and a lamp that moves on. Processor time is measured.
"""

from __future__ import annotations

import time

import cv2
import numpy as np
import numpy.typing as npt
import typer

from fer_edge.config import RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sources.demo import FPS, HEIGHT, WIDTH
from fer_edge.types import Frame, Image

# Standard deviation a pixel, in grey levels.
NOISE = 3.0


def main(seconds: float = 20.0) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    coarse = np.random.default_rng(0).normal(110, 25, (24, 32)).astype(np.float32)
    wall = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT)), np.float32)
    for name, moves in (("nothing moves", False), ("a lamp moves", True)):
        rng = np.random.default_rng(1)
        pipeline = Pipeline(RunConfig())
        spent = faces = 0.0
        count = round(seconds * FPS)
        for index in range(count):
            frame = Frame(_camera(wall, rng, index if moves else 0), index / FPS, index)
            start = time.thread_time()
            faces += len(pipeline.process(frame).faces)
            spent += time.thread_time() - start
        typer.echo(f"{name}: CPU ms per frame mean {1000 * spent / count:.2f}, {faces / count:.2f} faces per frame")


def _camera(wall: npt.NDArray[np.float32], rng: np.random.Generator, index: int) -> Image:
    image = wall + rng.normal(0, NOISE, wall.shape).astype(np.float32)
    cv2.circle(image, (60 + 3 * index % (WIDTH - 120), HEIGHT - 60), 25, 200.0, -1)
    grey = np.clip(image, 0, 255).astype(np.uint8)
    return np.asarray(cv2.merge([grey, grey, grey]), np.uint8)


if __name__ == "__main__":
    typer.run(main)
