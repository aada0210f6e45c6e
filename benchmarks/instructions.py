"""Count the instructions per stage with callgrind, and estimate their time on a Raspberry Pi.

    apt install valgrind
    python -m benchmarks.instructions

The program runs once with every stage done a few times, and once more per stage with that one done twice as often. The
difference is the stage alone, without Python's start. OpenCV is limited to 128-bit instructions, as wide as NEON's;
XNNPACK uses AVX2, twice as wide. Instructions do not depend on other load. It takes five minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from fer_edge.config import DetectorConfig, SmoothingConfig, TrackerConfig
from fer_edge.detectors import open_detector
from fer_edge.model.bundle import DEFAULT_MODEL, find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.preprocess import CropCalibration
from fer_edge.sources.demo import FPS, DemoSource, scene_at
from fer_edge.tracking.smoothing import Smoother
from fer_edge.tracking.tracker import Tracker
from fer_edge.types import FaceBox, Frame, Image, Prediction, Track

# Each stage is done this often per second at 30 frames per second while one face is tracked. Tiles are searched so
# often if something moves in all of them, and no new face comes.
A_SECOND = {
    "whole scan": 1.0,
    "tile": 5 / 3,
    "region search": 5.0,
    "crop and classify": FPS / 2,
    "track and smooth": FPS,
}
# These are clock rates in hertz, and assumed instructions per cycle; docs/performance.md gives the reasons.
BOARDS = {"Pi 4 (Cortex-A72)": (1.8e9, 1.0), "Pi 5 (Cortex-A76)": (2.4e9, 1.7)}
# Each stage is done this often, since Python's start varies by some million instructions. Three whole scans differ.
TIMES = {"whole scan": 6, "tile": 12, "region search": 50, "crop and classify": 20, "track and smooth": 500}


def main(count: Annotated[str, typer.Option(hidden=True)] = "") -> None:
    """Count and print; with `count`, be the program that is counted."""
    if count:
        _work([int(part) for part in count.split(",")])
        return
    base = _instructions(TIMES)
    counts = {stage: (_instructions({**TIMES, stage: 2 * times}) - base) / times for stage, times in TIMES.items()}
    table = Table()
    for heading in ("stage", "million instructions", "per second", *(f"{board}, ms" for board in BOARDS)):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, instructions in counts.items():
        times = (f"{1000 * instructions / (clock * ipc):.2f}" for clock, ipc in BOARDS.values())
        table.add_row(stage, f"{instructions / 1e6:.2f}", f"{A_SECOND[stage]:.3g}", *times)
    a_frame = sum(counts[stage] * often for stage, often in A_SECOND.items()) / FPS
    times = (f"{1000 * a_frame / (clock * ipc):.2f}" for clock, ipc in BOARDS.values())
    table.add_row("mean per frame", f"{a_frame / 1e6:.2f}", f"{FPS:g}", *times)
    Console(width=140).print(table)


def _instructions(counts: dict[str, int]) -> int:
    program = [sys.executable, "-m", "benchmarks.instructions", "--count", ",".join(map(str, counts.values()))]
    done = subprocess.run(  # noqa: S603 - this program
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *program],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENCV_CPU_DISABLE": "AVX,AVX2,FMA3,AVX512_SKX", "PYTHONHASHSEED": "0"},
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(done.stderr[-2000:])
    return int(found[1])


def _work(counts: list[int]) -> None:
    """Do each stage so many times, on the demo's first picture."""
    cv2.setNumThreads(1)
    scene = scene_at(0)
    with DemoSource() as source:
        image = source.render(scene)
    detector = open_detector(DetectorConfig())
    regions = dict(enumerate(detector.regions(image.shape[1], image.shape[0])))
    whole = [part for part, region in regions.items() if region == regions[0]]
    tiles = [part for part in regions if part not in whole]
    classifier = Classifier(load_bundle(find_bundle(DEFAULT_MODEL)), detector.crop_calibration)
    prediction = classifier.predict(np.zeros((classifier.input_size, classifier.input_size), np.uint8))
    following = _following(image, scene.box, classifier.labels, prediction)
    track = (Track(1, scene.box, 1.0, 0.0),)
    stages: dict[str, Callable[[int], object]] = {
        "whole scan": lambda _: [detector.detect(image, part) for part in whole],
        "tile": lambda index: detector.detect(image, tiles[index % len(tiles)]),
        "region search": lambda _: detector.detect_near(image, scene.box),
        "crop and classify": lambda index: classifier.classify(Frame(image, 0.0, index), track),
        "track and smooth": following,
    }
    for stage, count in zip(A_SECOND, counts, strict=True):
        for index in range(count + 1):  # once to warm up
            stages[stage](index)


def _following(image: Image, box: FaceBox, labels: tuple[str, ...], prediction: Prediction) -> Callable[[int], object]:
    tracker, smoother = Tracker(TrackerConfig()), Smoother(SmoothingConfig(), labels)
    detector = _Certain(box)

    def follow(index: int) -> object:
        now = index / FPS
        tracks = tracker.update(detector, Frame(image, now, index))
        return smoother.update(tracks, {track.id: prediction for track in tracks}, now)

    for index in range(-10, 0):  # until the face is confirmed
        follow(index)
    return follow


class _Certain:
    """A detector that costs nothing, so that what is left is the loop's own."""

    certain, variants = 0.0, 1
    crop_calibration = CropCalibration()

    def __init__(self, box: FaceBox) -> None:
        self._box = box

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        return (FaceBox(0, 0, width, height),)

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:  # noqa: ARG002
        return [self._box]

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:  # noqa: ARG002
        return [self._box]

    def confirm(self, image: Image, box: FaceBox) -> FaceBox | None:  # noqa: ARG002
        return self._box

    def close(self) -> None:
        """Nothing is held."""


if __name__ == "__main__":
    typer.run(main)
