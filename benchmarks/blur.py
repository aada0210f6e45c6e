"""How many true faces `blur = true` leaves readable.

    FER_MEDIA=MEDIA python -m benchmarks.blur

reads the six clips in MEDIA/clips with their truth, which is what a far larger detector says. A face counts as readable
where less than half of the box around it is hidden in the frame that is written. Sizes are those in a frame that is 640
pixels wide.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from benchmarks.finding import GROUPS, Truth, read_clip
from rich.console import Console
from rich.table import Table

from fer_edge.config import DetectorConfig, RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sinks.blur import FaceBlur
from fer_edge.types import FrameResult, Image

HIDDEN = 0.5


def main(
    media: Annotated[Path, typer.Argument(envvar="FER_MEDIA")],
    detectors: Annotated[str, typer.Option(help="Which, with commas between.")] = "haar,mediapipe",
) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    columns = ("", "faces", *(f"{group}, %" for group in GROUPS), "frames with a readable face, %")
    table = Table(*columns, title="true faces left readable")
    for name in detectors.split(","):
        all_readable: Counter[str] = Counter()
        all_faces: Counter[str] = Counter()
        for path in sorted(path for path in (media / "clips").iterdir() if path.suffix in {".mp4", ".mov"}):
            readable, faces = measure(path, name)
            table.add_row(f"{name} {path.stem[:24]}", *cells(readable, faces))
            all_readable += readable
            all_faces += faces
        table.add_row(name, *cells(all_readable, all_faces), end_section=True)
    Console(width=170).print(table)


def cells(readable: Counter[str], faces: Counter[str]) -> list[str]:
    """Counts as a row of the table."""
    shares = [f"{100 * readable[name] / faces[name]:.1f}" if faces[name] else "-" for name in (*GROUPS, "frames")]
    return [str(faces["all"]), *shares]


def measure(path: Path, detector: str) -> tuple[Counter[str], Counter[str]]:
    """True faces of a clip that stay readable, and all of them, by group; `frames` counts frames with such a face."""
    readable: Counter[str] = Counter()
    faces: Counter[str] = Counter()
    blur = FaceBlur()
    with Pipeline(RunConfig(detector=DetectorConfig(name=detector))) as pipeline:
        for frame, truth in read_clip(path):
            hidden = hidden_pixels(blur, pipeline.process(frame))
            sure = [face for face in truth or () if face.sure]
            left = [face for face in sure if not is_hidden(hidden, face)]
            for face in sure:
                faces.update(face.groups)
            for face in left:
                readable.update(face.groups)
            faces["frames"] += bool(sure)
            readable["frames"] += bool(left)
    return readable, faces


def hidden_pixels(blur: FaceBlur, result: FrameResult) -> Image:
    """Where the blur changes a picture, shape (H, W), 0 or 1: of a chequered one it changes every hidden pixel."""
    height, width = result.frame.image.shape[:2]
    rows, columns = np.indices((height, width))
    chequered = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    blurred = blur.apply(replace(result, frame=replace(result.frame, image=chequered)))
    return np.asarray((blurred.frame.image != chequered).any(axis=2), np.uint8)


def is_hidden(hidden: Image, face: Truth) -> bool:
    """Whether at least half of a face's box, as far as it lies in the picture, is hidden."""
    box = face.box
    part = hidden[max(round(box.y), 0) : round(box.y + box.height), max(round(box.x), 0) : round(box.x + box.width)]
    return part.size == 0 or float(part.mean()) >= HIDDEN


if __name__ == "__main__":
    typer.run(main)
