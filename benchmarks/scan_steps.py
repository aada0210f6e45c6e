"""What each step of finding a new face with Haar finds: the scans that take turns, and the confirmation of their boxes.

    FER_MEDIA=MEDIA python -m benchmarks.scan_steps

The same clips and truth as in `benchmarks.finding`, every sixth frame. Each scan is of the whole frame, without tiles.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import cv2
import typer
from benchmarks.finding import FOUND, Truth, clips
from rich.console import Console
from rich.table import Table

from fer_edge.config import DetectorConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.geometry import best_at, iou
from fer_edge.types import FaceBox, Image

EVERY = 6
ELSEWHERE = 0.1  # IoU below which a box has nothing to do with a face
FRONTAL = "frontal >= 48"


def main(media: Annotated[Path, typer.Argument(envvar="FER_MEDIA")]) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    detector = open_detector(DetectorConfig())
    faces: Counter[str] = Counter()
    boxes: Counter[tuple[str, bool]] = Counter()
    scans = 0
    for load in clips(media).values():
        for index, (frame, truth) in enumerate(load()):
            if index % EVERY or truth is None:
                continue
            found = [_scan(detector, frame.image) for _ in range(detector.variants)]
            scans += len(found)
            for face in (face for face in truth if face.sure):
                faces.update(_who_found(face, found))
            for box in (box for scan in found for box in scan):
                boxes.update(
                    (what, is_face) for is_face in _is_face(box, truth) for what in _steps(detector, frame.image, box)
                )
    table = Table("faces found, %", "all", FRONTAL)
    for name in (*(f"scan {number + 1}" for number in range(detector.variants)), "all of them"):
        table.add_row(name, *(f"{100 * faces[f'{name}, {group}'] / faces[group]:.0f}" for group in ("all", FRONTAL)))
    Console().print(table)
    table = Table("boxes of the scans", "on a face", "on nothing")
    table.add_row("all", str(boxes["all", True]), str(boxes["all", False]))
    for what in ("region search finds it", "confirmed", "certain"):
        table.add_row(what, f"{100 * boxes[what, True] / boxes['all', True]:.0f} %", str(boxes[what, False]))
    Console().print(table)
    Console().print(f"boxes on nothing per scan: {boxes['all', False] / scans:.2f}")


def _scan(detector: Detector, image: Image) -> list[FaceBox]:
    height, width = image.shape[:2]
    whole = FaceBox(0, 0, width, height)
    parts = [part for part, region in enumerate(detector.regions(width, height)) if region == whole]
    return [box for part in parts for box in detector.detect(image, part)]


def _who_found(face: Truth, found: list[list[FaceBox]]) -> list[str]:
    hits = [f"scan {number + 1}" for number, scan in enumerate(found) if any(iou(face.box, b) >= FOUND for b in scan)]
    names = ["", *hits, "all of them"] if hits else [""]
    return [
        f"{name}, {group}" if name else group for name in names for group in face.groups if group in ("all", FRONTAL)
    ]


def _is_face(box: FaceBox, truth: list[Truth]) -> list[bool]:
    """Whether a box is on a face; nothing if that cannot be said."""
    if any(face.sure and iou(face.box, box) >= FOUND for face in truth):
        return [True]
    return [] if any(iou(face.box, box) >= ELSEWHERE for face in truth) else [False]


def _steps(detector: Detector, image: Image, box: FaceBox) -> list[str]:
    again = detector.confirm(image, box)
    steps = ["all"]
    steps += ["region search finds it"] * (best_at(box, detector.detect_near(image, box, 1.5)) is not None)
    steps += ["confirmed"] * (again is not None)
    return steps + ["certain"] * (again is not None and box.score + again.score >= detector.certain)


if __name__ == "__main__":
    typer.run(main)
