"""Haar against MediaPipe: crop_calibration, accuracy end to end by tilt, recall by size and pose, time.

    python benchmarks/detectors.py --data DATA --media MEDIA

in an environment with the mediapipe extra prints the tables of docs/detectors.md. About ten minutes on one core.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fer_edge.config import DetectorConfig, TrackerConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.geometry import iou
from fer_edge.images import read_image
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.preprocess import MODEL_SIZE, crop_face
from fer_edge.sources.video import VideoSource
from fer_edge.tracking.tracker import Tracker
from fer_edge.types import FaceBox, Frame, Image
from fer_train.data.datasets import LabelledFaces, load_dataset

WIDTH, HEIGHT = 640, 480
# The side of a pasted face in pixels.
SIDE = 240
GREY = 110
TILTS = (0, 10, 20, 30, 40)
SIZES = (24, 36, 48, 64, 96, 160, 300)
TILTED_SIZE = 100
# A tracked face is not searched in every frame, so it may be this many seconds old.
LOOKED_LATELY = 0.1
# Places of a photographed face from the frame's middle, in pixels.
SHIFTS = [(x, y) for x in (-40, -13, 13, 40) for y in (-40, -13, 13, 40)]
# Faces, as FER2013 would crop them.
PHOTOS = {
    "portrait_a.jpg": [FaceBox(330, 98, 325, 325)],
    "portrait_b.jpg": [FaceBox(389, 180, 393, 393)],
    "two_people.jpg": [FaceBox(771, 60, 198, 198), FaceBox(217, 27, 202, 202)],
}
CONFIGS = {
    "haar": DetectorConfig(),
    "mediapipe": DetectorConfig(name="mediapipe"),
}
# Of stage_clip.mp4: frames, and the rectangle (left, top, right, bottom) in which the man's face has its centre.
SCENES = {
    "far (42 pixels)": (range(24), (490, 40, 590, 110)),
    "profile, close up": (range(24, 87), (330, 60, 640, 360)),
    "near, frontal": (range(90, 213), (150, 40, 380, 170)),
}


def main(
    data: Annotated[Path, typer.Option(envvar="FER_DATA")],
    media: Annotated[Path, typer.Option(envvar="FER_MEDIA", help="A folder with the photographs and stage_clip.mp4.")],
    faces: int = 1000,
) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    console = Console(width=120)
    detectors = {name: open_detector(config) for name, config in CONFIGS.items()}
    console.print(crop_calibration_table(detectors, load_dataset(data, "train", "ferplus7").images[:faces]))
    console.print(tilt_table(detectors, load_dataset(data, "validation", "ferplus7"), faces))
    photos = [(_read(media / name), face) for name, faces_in in PHOTOS.items() for face in faces_in]
    sizes = {f"{size} px": (float(size), 0.0) for size in SIZES}
    console.print(photo_table("by the face's size", detectors, photos, sizes))
    tilts = {f"{tilt}°": (float(TILTED_SIZE), float(tilt)) for tilt in TILTS}
    console.print(photo_table(f"{TILTED_SIZE} pixels, by tilt", detectors, photos, tilts))
    with VideoSource(media / "stage_clip.mp4") as source:
        images = [frame.image for frame in source]
    console.print(agreement_table(detectors, images))
    console.print(scene_table(detectors, images))
    console.print(time_table(detectors, images))


def crop_calibration_table(detectors: dict[str, Detector], images: npt.NDArray[np.uint8]) -> Table:
    """What turns a detector's box into FER2013's own square: medians over faces of known place."""
    table = _table("crop_calibration: medians over Training faces", ("detector", "faces", "scale", "dx", "dy"))
    truth = FaceBox((WIDTH - SIDE) / 2, (HEIGHT - SIDE) / 2, SIDE, SIDE)
    for name, detector in detectors.items():
        found = [_largest(detector.detect(_pasted(image, 0))) for image in track(images, name, transient=True)]
        fits = np.array([_fit(box, truth) for box in found if box])
        table.add_row(name, str(len(fits)), *(f"{median:+.2f}" for median in np.median(fits, axis=0)))
    return table


def agreement_table(detectors: dict[str, Detector], images: Sequence[Image]) -> Table:
    """What turns a detector's box into the cascade's crop of the same face: medians over a real video."""
    title = "crop_calibration: medians over stage_clip.mp4, near, against the cascade's crops"
    table = _table(title, ("detector", "faces", "scale", "dx", "dy"))
    cascade = detectors["haar"]
    frames, place = SCENES["near, frontal"]
    near = [images[index] for index in frames]
    expected = [[box for box in cascade.detect(image) if _within(box, place)] for image in near]
    for name, detector in detectors.items():
        pairs = zip(expected, (detector.detect(image) for image in near), strict=True)
        fits = [
            _fit(box, cascade.crop_calibration.apply(other))
            for others, boxes in pairs
            for other in others
            for box in boxes
            if iou(box, other) > 0.3
        ]
        table.add_row(name, str(len(fits)), *(f"{median:+.2f}" for median in np.median(fits, axis=0)))
    return table


def tilt_table(detectors: dict[str, Detector], check: LabelledFaces, faces: int) -> Table:
    """End to end: faces found, and labels that agree with the majority of votes."""
    table = _table(
        f"PublicTest, {faces} faces of {SIDE} pixels, %",
        ("tilt", "detector", "found", "accuracy of those found", "without roll correction", "accuracy of all"),
    )
    for tilt in TILTS:
        for name, detector in detectors.items():
            classifier = Classifier(load_bundle(find_bundle("ferplus7")), detector.crop_calibration)
            right, upright = [], []
            for index in track(range(faces), f"{name}, {tilt} degrees", transient=True):
                image = _pasted(check.images[index], tilt if index % 2 else -tilt)
                box = _largest(detector.detect(image))
                if box is None:
                    continue
                label = check.classes[index]
                right.append(_reads(classifier, detector, image, box) == label)
                upright.append(_reads(classifier, detector, image, replace(box, roll=0.0)) == label)
            shares = (len(right) / faces, np.mean(right), np.mean(upright), np.sum(right) / faces)
            table.add_row(f"±{tilt}°", name, *(f"{100 * share:.1f}" for share in shares))
    return table


def photo_table(
    what: str,
    detectors: dict[str, Detector],
    photos: Sequence[tuple[Image, FaceBox]],
    columns: dict[str, tuple[float, float]],
) -> Table:
    """Recall of whole scans of 640x480, with hair and shoulders; each column is a (size, tilt)."""
    table = _table(
        f"{len(photos)} photographed faces at {len(SHIFTS)} places, {what}: found, %", ("detector", *columns)
    )
    for name, detector in detectors.items():
        cells = []
        for side, tilt in columns.values():
            found = [
                _finds(detector, image, face, side, tilt * sign, shift)
                for image, face in photos
                for shift in SHIFTS
                for sign in ((1, -1) if tilt else (1,))
            ]
            cells.append(f"{100 * np.mean(found):.0f}")
        table.add_row(name, *cells)
    return table


def scene_table(detectors: dict[str, Detector], images: Sequence[Image]) -> Table:
    """A real video: frames in which the man was found, by scans alone and by the tracker of `fer-edge run`."""
    table = _table(
        "stage_clip.mp4: frames in which the man was found, scans alone / followed; other boxes, near",
        ("detector", *(f"{scene} ({len(frames)})" for scene, (frames, _) in SCENES.items()), "others"),
    )
    for name, detector in detectors.items():
        scanned = [detector.detect(image) for image in images]
        followed = _follow(detector, images)
        cells = []
        for frames, place in SCENES.values():
            counts = (sum(any(_within(box, place) for box in run[k]) for k in frames) for run in (scanned, followed))
            cells.append(" / ".join(map(str, counts)))
        frames, place = SCENES["near, frontal"]
        others = (sum(not _within(box, place) for k in frames for box in run[k]) for run in (scanned, followed))
        table.add_row(name, *cells, " / ".join(map(str, others)))
    return table


def time_table(detectors: dict[str, Detector], images: Sequence[Image]) -> Table:
    """Milliseconds of processor time: medians of three rounds that alternate between the detectors."""
    table = _table(
        "stage_clip.mp4, 640x360: processor time, ms per frame", ("detector", "whole scan", "as run, scans and looks")
    )
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in detectors}
    for _ in range(3):
        for name, detector in detectors.items():
            scans = _cpu_ms(lambda d=detector: [d.detect(image) for image in images])  # type: ignore[misc]
            run = _cpu_ms(lambda d=detector: _follow(d, images))  # type: ignore[misc]
            spent[name].append((scans / len(images), run / len(images)))
    for name, rounds in spent.items():
        table.add_row(name, *(f"{median:.1f}" for median in np.median(rounds, axis=0)))
    return table


def _pasted(face: Image, tilt: float) -> Image:
    """A face in the middle of a grey frame, turned clockwise: shape (480, 640, 3)."""
    middle = (MODEL_SIZE - 1) / 2
    place = cv2.getRotationMatrix2D((middle, middle), -tilt, SIDE / MODEL_SIZE)
    place += np.array([[0, 0, (WIDTH - 1) / 2 - middle], [0, 0, (HEIGHT - 1) / 2 - middle]])
    frame = cv2.warpAffine(face, place, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderValue=GREY)
    return np.asarray(cv2.merge([frame, frame, frame]), np.uint8)


def _finds(
    detector: Detector, image: Image, face: FaceBox, side: float, tilt: float, place: tuple[float, float]
) -> bool:
    """Whether a photographed face is found at a size, tilt and place in a frame of 640x480."""
    scale = side / face.width
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    centre = ((face.x + face.width / 2) * scale, (face.y + face.height / 2) * scale)
    target = (WIDTH / 2 + place[0], HEIGHT / 2 + place[1])
    turn = cv2.getRotationMatrix2D(centre, -tilt, 1.0)
    turn += np.array([[0, 0, target[0] - centre[0]], [0, 0, target[1] - centre[1]]])
    frame = np.asarray(cv2.warpAffine(small, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    truth = FaceBox(target[0] - side / 2, target[1] - side / 2, side, side)
    return any(iou(detector.crop_calibration.apply(box), truth) > 0.4 for box in detector.detect(frame))


def _read(path: Path) -> Image:
    image = read_image(path)
    if image is None:
        raise SystemExit(f"{path}: is not a readable image")
    return image


def _largest(boxes: Sequence[FaceBox]) -> FaceBox | None:
    return max(boxes, key=lambda box: box.width, default=None)


def _fit(box: FaceBox, truth: FaceBox) -> tuple[float, float, float]:
    dx = truth.x + truth.width / 2 - (box.x + box.width / 2)
    dy = truth.y + truth.height / 2 - (box.y + box.height / 2)
    return truth.width / box.width, dx / box.width, dy / box.width


def _reads(classifier: Classifier, detector: Detector, image: Image, box: FaceBox) -> int:
    return int(classifier.probabilities(crop_face(image, box, detector.crop_calibration)).argmax())


def _within(box: FaceBox, place: tuple[int, int, int, int]) -> bool:
    x, y = box.x + box.width / 2, box.y + box.height / 2
    return place[0] <= x <= place[2] and place[1] <= y <= place[3]


def _follow(detector: Detector, images: Sequence[Image]) -> list[list[FaceBox]]:
    """Recent boxes of the tracker's scans and region searches, at 30 frames per second."""
    tracker = Tracker(TrackerConfig())
    runs = []
    for index, image in enumerate(images):
        tracks = tracker.update(detector, Frame(image, index / 30, index))
        runs.append([face.box for face in tracks if face.missed_s < LOOKED_LATELY])
    return runs


def _cpu_ms(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    return table


if __name__ == "__main__":
    typer.run(main)
