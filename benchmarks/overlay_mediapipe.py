"""The same faces as MediaPipe's drawing_utils draws them, and as we do, side by side as a picture.

make .venv-mediapipe/installed
.venv-mediapipe/bin/python -m benchmarks.overlay_mediapipe docs/images/overlay-mediapipe.jpg
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import mediapipe
import numpy as np
import typer
from benchmarks.overlay import scene

from fer_edge.config import RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sinks.overlay import draw
from fer_edge.types import Frame, Image


def main(picture: Annotated[Path, typer.Argument(help="The picture, MediaPipe's drawing on the left.")]) -> None:
    """Draw three composite faces twice."""
    image = scene()
    with Pipeline(RunConfig()) as pipeline:
        ours = draw(pipeline.process(Frame(image, still=True)), (640, 480))
    cv2.imwrite(str(picture), np.hstack([_drawn_by_mediapipe(image), ours]), [cv2.IMWRITE_JPEG_QUALITY, 80])


def _drawn_by_mediapipe(image: Image) -> Image:
    copy = image.copy()
    with mediapipe.solutions.face_detection.FaceDetection(model_selection=0) as detector:
        found = detector.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).detections or ()
    for face in found:
        mediapipe.solutions.drawing_utils.draw_detection(copy, face)
    typer.echo(f"MediaPipe {mediapipe.__version__} found {len(found)} faces")
    return copy


if __name__ == "__main__":
    typer.run(main)
