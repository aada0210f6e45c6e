"""Measure fast scans of a frame in different light: faces found, wrong boxes, CPU time.

    python -m benchmarks.scans DATA

The tracker accepts boxes that the detector confirms in the same frame, and shows certain ones at once. Both are
counted too. Scans take turns, as in a video.

Faces of FER2013's PublicTest, 52 to 240 pixels large, are drawn over a textured wall, darkened, with a sensor's noise
of two grey levels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from fer_edge.config import DetectorConfig
from fer_edge.detectors import open_detector
from fer_edge.geometry import iou, overlap
from fer_edge.types import FaceBox, Image
from fer_train.data.datasets import load_dataset

LIGHTS = (1.0, 1 / 4, 1 / 8, 1 / 16)
SMALLEST, LARGEST = 52, 240
NOISE = 2.0
SAME = 0.5
HEADINGS = ("light", "found / boxes elsewhere a scan", "confirmed", "at once", "processor time of the scan, ms")


@dataclass
class Tally:
    """Pictures whose face was found, and boxes elsewhere."""

    found: int = 0
    others: int = 0

    def count(self, boxes: list[FaceBox], truth: FaceBox) -> None:
        """Add those of a picture."""
        self.found += any(iou(box, truth) > 0.4 for box in boxes)
        self.others += sum(overlap(box, truth) <= SAME for box in boxes)


def main(data: Annotated[Path, typer.Argument(envvar="FER_DATA")], count: int = 120) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    detector = open_detector(DetectorConfig())
    faces = load_dataset(data, "validation", "ferplus7").images[:count]
    wall = _wall()
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for light in LIGHTS:
        rng = np.random.default_rng(1)
        tallies = {kind: Tally() for kind in ("scanned", "confirmed", "certain")}
        spent = 0.0
        for face in faces:
            image, truth = _drawn(wall, face, light, rng)
            start = time.process_time()
            parts = range(len(detector.regions(image.shape[1], image.shape[0])))
            boxes = [box for part in parts for box in detector.detect(image, part)]
            spent += time.process_time() - start
            looked = [(box, detector.confirm(image, box)) for box in boxes]
            confirmed = [box for box, again in looked if again]
            certain = [box for box, again in looked if again and box.score + again.score >= detector.certain]
            for kind, believed in (("scanned", boxes), ("confirmed", confirmed), ("certain", certain)):
                tallies[kind].count([detector.crop_calibration.apply(box) for box in believed], truth)
        cells = (f"{100 * tally.found / count:.0f} % / {tally.others / count:.3f}" for tally in tallies.values())
        table.add_row(f"{light:g}", *cells, f"{1000 * spent / count:.1f}")
    Console(width=120).print(table)


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
