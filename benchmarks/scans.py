"""What one quick scan of a video's frame finds, by the light: faces found, other boxes, processor time.

    python -m benchmarks.scans DATA

Faces of FER2013's PublicTest, 52 to 240 pixels large, are drawn over a textured wall, darkened, with a sensor's noise
of two grey levels.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from fer_edge.config import DetectorConfig
from fer_edge.detectors import open_detector
from fer_edge.geometry import iou
from fer_edge.types import FaceBox, Image
from fer_train.datasets import load_dataset

LIGHTS = (1.0, 1 / 4, 1 / 8, 1 / 16)
SMALLEST, LARGEST = 52, 240
NOISE = 2.0


def main(data: Annotated[Path, typer.Argument(envvar="FER_DATA")], count: int = 120) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    detector = open_detector(DetectorConfig())
    faces = load_dataset(data, "validation", "ferplus7").images[:count]
    wall = _wall()
    table = Table()
    for heading in ("light", "found", "other boxes a scan", "processor time, ms"):
        table.add_column(heading, justify="right")
    for light in LIGHTS:
        rng = np.random.default_rng(1)
        found = others = 0
        spent = 0.0
        for face in faces:
            image, truth = _drawn(wall, face, light, rng)
            start = time.process_time()
            boxes = [box for share in range(detector.shares) for box in detector.detect(image, share)]
            spent += time.process_time() - start
            hits = sum(iou(detector.framing.apply(box), truth) > 0.4 for box in boxes)
            found += hits > 0
            others += len(boxes) - hits
        cells = (found / count, others / count, 1000 * spent / count)
        table.add_row(f"{light:g}", f"{100 * cells[0]:.0f} %", f"{cells[1]:.2f}", f"{cells[2]:.1f}")
    Console().print(table)


def _wall() -> Image:
    """Smooth noise at three scales, shape (480, 640)."""
    rng = np.random.default_rng(0)
    wall = np.full((480, 640), 110, np.float32)
    for cell, strength in ((80, 22.0), (20, 10.0), (5, 5.0)):
        noise = rng.normal(0, strength, (480 // cell, 640 // cell)).astype(np.float32)
        wall += cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)
    return np.clip(wall, 0, 255).astype(np.uint8)


def _drawn(wall: Image, face: Image, light: float, rng: np.random.Generator) -> tuple[Image, FaceBox]:
    """A frame, shape (480, 640, 3), with a face somewhere, and where."""
    side = int(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    x, y = (int(rng.integers(0, length - side)) for length in wall.shape[::-1])
    frame = wall.astype(np.float32)
    frame[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_LINEAR)
    grey = np.clip(frame * light + rng.normal(0, NOISE, frame.shape), 0, 255).astype(np.uint8)
    return np.asarray(cv2.merge([grey, grey, grey]), np.uint8), FaceBox(x, y, side, side)


if __name__ == "__main__":
    typer.run(main)
