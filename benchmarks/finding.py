"""How many faces are found: a plain Haar search of every frame, and fer-edge with each of its detectors.

    FER_MEDIA=MEDIA python -m benchmarks.finding

reads the clips, the stills and their truth from MEDIA/clips and MEDIA/stills, and MEDIA/stage_clip.mp4. Truth is what a
far larger detector says. A face is found where a box overlaps a square around it by at least 0.3 (IoU). Sizes are those
in a frame that is 640 pixels wide. Six clips are made of the others: four and nine of them side by side, which gives
small faces, slides of the stills, and three that sway. Time is user time per frame, without decoding, as a multiple of
the last detector's in the same run.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from fer_edge.config import DetectorConfig, RunConfig
from fer_edge.detectors.cascades import find_cascade
from fer_edge.geometry import iou
from fer_edge.images import read_image
from fer_edge.pipeline import Pipeline
from fer_edge.sources.video import VideoSource
from fer_edge.types import FaceBox, Frame, Image

FOUND, UNSURE_OVERLAP, SURE = 0.3, 0.2, 0.5
SQUARE = 1.12  # side of the square around a true face, in units of sqrt(width * height): fits the cascade's boxes
TILTED = 15.0  # degrees
TURNED = 0.35  # distance of the nose from the middle of the eyes, along their line, in units of the eyes' distance
GROUPS = ("all", "< 32 px", "32-48 px", "tilted", "turned", "frontal >= 48")
MOSAIC = (640, 360)

Finder = Callable[[Frame], list[FaceBox]]


@dataclass(frozen=True)
class Truth:
    """A true face: its square, size at 640 pixels, and groups."""

    box: FaceBox
    sure: bool
    groups: tuple[str, ...]


@dataclass
class Score:
    """Counts of one detector."""

    found: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    boxes: int = 0
    wrong: int = 0
    frames: int = 0
    user_s: float = 0.0

    def compare(self, boxes: Sequence[FaceBox], truth: Sequence[Truth]) -> None:
        """Compare the boxes of one frame with the truth."""
        left = list(boxes)
        for face in sorted((face for face in truth if face.sure), key=lambda face: -face.box.width):
            best = max(left, key=lambda box: iou(face.box, box), default=None)
            is_found = best is not None and iou(face.box, best) >= FOUND
            if is_found and best is not None:
                left.remove(best)
            self.total.update(face.groups)
            self.found.update(face.groups if is_found else ())
        self.boxes += len(boxes)
        unsure = [face.box for face in truth if not face.sure]
        self.wrong += sum(all(iou(box, other) < UNSURE_OVERLAP for other in unsure) for box in left)

    def add(self, other: Score) -> None:
        """Add the counts of another clip."""
        self.found += other.found
        self.total += other.total
        for name in ("boxes", "wrong", "frames", "user_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def cells(self) -> list[str]:
        """Recall by group and the share of wrong boxes, %."""
        recall = [f"{100 * self.found[g] / self.total[g]:.0f}" if self.total[g] else "-" for g in GROUPS]
        return [*recall, f"{100 * self.wrong / max(self.boxes, 1):.1f}"]


def main(
    media: Annotated[Path, typer.Argument(envvar="FER_MEDIA")],
    detectors: Annotated[str, typer.Option(help="Which, with commas between.")] = "plain,haar,mediapipe",
    only: Annotated[str, typer.Option(help="Clips whose name holds this.")] = "",
    details: Annotated[bool, typer.Option(help="A row per clip.")] = False,
) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    loads = {clip: load for clip, load in clips(media).items() if only in clip}
    scores = {
        name: {clip: score_clip(load, open_finder(name)) for clip, load in loads.items()}
        for name in detectors.split(",")
    }
    groups = {clip: [clip] for clip in loads} if details else {}
    public = [clip for clip in loads if Path(clip).suffix in {".mp4", ".mov"}]
    groups |= {"public clips": public, "these and those made of them": list(loads)}
    for title, members in groups.items():
        Console(width=150).print(clips_table(title, {name: total(scores[name], members) for name in scores}))
    if not only:
        Console(width=150).print(stills_table(media, detectors.split(",")))


def clips_table(title: str, scores: Mapping[str, Score]) -> Table:
    """A row per detector."""
    table = Table(*("", *GROUPS, "wrong, %", "user ms per frame", "times"), title=f"{title}: faces found, %")
    own = list(scores.values())[-1]
    for name, score in scores.items():
        ms = score.user_s / score.frames
        table.add_row(name, *score.cells(), f"{1000 * ms:.2f}", f"{ms / (own.user_s / own.frames):.1f}")
    return table


def total(scores: Mapping[str, Score], members: Sequence[str]) -> Score:
    """The counts of some clips together."""
    together = Score()
    for clip in members:
        together.add(scores[clip])
    return together


def open_finder(name: str) -> Finder:
    """A function from a frame to the boxes that are shown; it remembers the frames before."""
    if name == "plain":
        cascade = cv2.CascadeClassifier(str(find_cascade("haarcascade_frontalface_default.xml")))
        return lambda frame: _plain(cascade, frame)
    pipeline = Pipeline(RunConfig(detector=DetectorConfig(name=name)))

    def find(frame: Frame) -> list[FaceBox]:
        tracks = [face.track for face in pipeline.process(frame).faces]
        return [track.box for track in tracks if getattr(track, "visible", True)]

    return find


def _plain(cascade: cv2.CascadeClassifier, frame: Frame) -> list[FaceBox]:
    grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
    return [FaceBox(*map(float, box)) for box in cascade.detectMultiScale(grey, 1.1, 5)]


def score_clip(load: Callable[[], Iterator[tuple[Frame, list[Truth] | None]]], find: Finder) -> Score:
    """Compare a clip's boxes with its truth, in the frames that have one."""
    score = Score()
    for frame, truth in load():
        start = os.times().user
        boxes = find(frame)
        score.user_s += os.times().user - start
        score.frames += 1
        if truth is not None:
            score.compare(boxes, truth)
    return score


def clips(media: Path) -> dict[str, Callable[[], Iterator[tuple[Frame, list[Truth] | None]]]]:
    """The clips with truth, and mosaics of them."""
    files = sorted(path for path in (media / "clips").iterdir() if _truth_of(path).is_file())
    files.append(media / "stage_clip.mp4")
    loads: dict[str, Any] = {path.name: lambda path=path: read_clip(path) for path in files}
    loads |= {
        f"{n * n} side by side": lambda n=n: mosaic(
            [f for f in files if "class" not in f.name and "stage" not in f.name], n
        )
        for n in (2, 3)
    }
    loads["slideshow"] = lambda: slideshow(media / "stills")
    return loads | {f"{path.name}, swaying": lambda path=path: swaying(path) for path in files if "face" in path.name}


def read_clip(path: Path) -> Iterator[tuple[Frame, list[Truth] | None]]:
    """Frames with their truth; None where there is none."""
    known = json.loads(_truth_of(path).read_text())
    width = known["size"][0]
    with VideoSource(path) as source:
        for frame, faces in zip(source, known["frames"], strict=False):
            yield frame, None if faces is None else [true_face(face, width) for face in faces]


def mosaic(files: Sequence[Path], side: int) -> Iterator[tuple[Frame, list[Truth] | None]]:
    """Clips in a grid of `side` by `side` cells, each to and fro; four seconds."""
    cell = (MOSAIC[0] // side, MOSAIC[1] // side)
    runs = [_to_and_fro(files[k % len(files)], skip=3 * k) for k in range(side * side)]
    for index in range(120):
        image = np.zeros((MOSAIC[1], MOSAIC[0], 3), np.uint8)
        truth: list[Truth] | None = []
        for k, run in enumerate(runs):
            picture, faces, width = next(run)
            left, top, scale = k % side * cell[0], k // side * cell[1], cell[0] / width
            small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[: cell[1], : cell[0]]
            image[top : top + small.shape[0], left : left + small.shape[1]] = small
            room = (left, top, left + cell[0], top + cell[1])
            placed = None if faces is None else [_placed(face, left, top, scale, room) for face in faces]
            truth = None if truth is None or placed is None else truth + placed
        yield Frame(image, index / 30, index), truth


def slideshow(folder: Path) -> Iterator[tuple[Frame, list[Truth] | None]]:
    """Photographs of a second each, over which the camera moves slowly; a cut from each to the next."""
    index = 0
    for file, known in json.loads((folder / "truth.json").read_text()).items():
        image = read_image(folder / file)
        height, width = known["height_width"]
        scale = 1.1 * max(MOSAIC[0] / width, MOSAIC[1] / height)
        large = cv2.resize(_picture(image, file), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        room = (large.shape[1] - MOSAIC[0], large.shape[0] - MOSAIC[1])
        for step in range(30):
            left, top = (int(space * (0.3 + 0.4 * step / 30)) for space in room)
            view = np.asarray(large[top : top + MOSAIC[1], left : left + MOSAIC[0]], np.uint8, order="C")
            truth = [_placed(face, -left, -top, scale, (0, 0, *MOSAIC)) for face in known["faces"]]
            yield Frame(view, index / 30, index), truth
            index += 1


def swaying(path: Path) -> Iterator[tuple[Frame, list[Truth] | None]]:
    """A clip whose camera turns to and fro by 35 degrees."""
    known = json.loads(_truth_of(path).read_text())
    for index, (image, faces, width) in enumerate(islice(_to_and_fro(path, 0), 240)):
        height = known["size"][1]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 35 * math.sin(index / 20), 1.0)
        turned = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        truth = None if faces is None else [true_face(_turned(face, turn), width) for face in faces]
        yield Frame(np.asarray(turned, np.uint8), index / 30, index), truth


def _turned(face: list[float], turn: np.ndarray) -> list[float]:
    points = np.array(face[5:]).reshape(-1, 2) @ turn[:, :2].T + turn[:, 2]
    middle = turn[:, :2] @ (face[0] + face[2] / 2, face[1] + face[3] / 2) + turn[:, 2]
    return [middle[0] - face[2] / 2, middle[1] - face[3] / 2, *face[2:5], *points.ravel()]


def _to_and_fro(path: Path, skip: int) -> Iterator[tuple[Image, Any, int]]:
    """Frames, true faces and frame widths, forwards and backwards without end."""
    known = json.loads(_truth_of(path).read_text())
    with VideoSource(path) as source:
        images = [frame.image for frame in islice(source, 180)]
    last = len(images) - 1
    for index in count(skip):
        k = last - abs(index % (2 * last) - last)
        yield images[k], known["frames"][k], known["size"][0]


def _placed(face: list[float], left: int, top: int, scale: float, room: tuple[int, int, int, int]) -> Truth:
    """A true face where it lies in another picture; unsure where it reaches out of `room`: left, top, right, bottom."""
    moved = [value * scale for value in face]
    for k in (0, *range(5, 15, 2)):
        moved[k] += left
        moved[k + 1] += top
    x, y = moved[0] + moved[2] / 2, moved[1] + moved[3] / 2
    part = 0.35 * moved[2]
    inside = room[0] + part < x < room[2] - part and room[1] + part < y < room[3] - part
    moved[4] = face[4] if inside else 0.0
    return true_face(moved, MOSAIC[0])


def true_face(face: Sequence[float], frame_width: int) -> Truth:
    """From x, y, width, height, score and five landmarks: right eye, left eye, nose, corners of the mouth."""
    x, y, width, height, score = face[:5]
    right_x, right_y, left_x, left_y, nose_x, nose_y = face[5:11]
    side = SQUARE * math.sqrt(width * height)
    box = FaceBox(x + width / 2 - side / 2, y + height / 2 - side / 2, side, side)
    size = max(width, height) * 640 / frame_width
    eyes = math.hypot(left_x - right_x, left_y - right_y) or 1e-6
    along = ((left_x - right_x) / eyes, (left_y - right_y) / eyes)
    off = (nose_x - (left_x + right_x) / 2) * along[0] + (nose_y - (left_y + right_y) / 2) * along[1]
    is_tilted = bool(abs(math.degrees(math.atan2(along[1], along[0]))) > TILTED)
    is_turned = bool(abs(off) / eyes > TURNED)
    groups = ["all"]
    groups += ["< 32 px"] * (size < 32) + ["32-48 px"] * (32 <= size < 48)
    groups += ["tilted"] * is_tilted + ["turned"] * is_turned
    groups += ["frontal >= 48"] * (size >= 48 and not is_tilted and not is_turned)
    return Truth(box, score >= SURE, tuple(groups))


def stills_table(media: Path, detectors: Sequence[str]) -> Table:
    """Photographs, each by itself."""
    table = Table(*("", *GROUPS, "wrong, %", "user ms per picture"), title="stills: faces found, %")
    known = json.loads((media / "stills" / "truth.json").read_text())
    pictures = {name: read_image(media / "stills" / name) for name in known}
    for name in detectors:
        score, find = Score(), open_finder(name)
        for index, (file, image) in enumerate(pictures.items()):
            faces = [true_face(face, known[file]["height_width"][1]) for face in known[file]["faces"]]
            start = os.times().user
            boxes = find(Frame(_picture(image, file), 10.0 * index, index, still=True))
            score.user_s += os.times().user - start
            score.compare(boxes, faces)
        table.add_row(name, *score.cells(), f"{1000 * score.user_s / len(pictures):.0f}")
    return table


def _picture(image: Image | None, name: str) -> Image:
    if image is None:
        raise SystemExit(f"{name}: is not a readable image")
    return image


def _truth_of(clip: Path) -> Path:
    if clip.name == "stage_clip.mp4":
        return Path(__file__).parent / "truth" / "stage_clip.json"
    return clip.parent / "truth" / f"{clip.name}.json"


if __name__ == "__main__":
    typer.run(main)
