"""Draw what both detectors see in one frame of a clip, one above the other.

python -m benchmarks.same_frame CLIP OUT.jpg --frame 44

Each detector has seen the frames before, too.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from fer_edge.config import DetectorConfig, RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sources.video import VideoSource

GREEN = (60, 220, 60)


def main(
    clip: Path,
    out: Path,
    frame: Annotated[int, typer.Option(help="Index of the frame.")] = 44,
    quality: Annotated[int, typer.Option(help="Of the JPEG.")] = 75,
) -> None:
    """Process the clip up to the frame with each detector, and draw."""
    views = []
    for name in ("haar", "mediapipe"):
        config = RunConfig(detector=DetectorConfig.model_validate({"name": name}))
        with VideoSource(clip) as source, Pipeline(config) as pipeline:
            result = [pipeline.process(image) for image in islice(source, frame + 1)][-1]
        view = result.frame.image.copy()
        boxes = [face.track.box for face in result.faces if face.track.visible]
        for box in boxes:
            corners = (int(box.x), int(box.y)), (int(box.x + box.width), int(box.y + box.height))
            cv2.rectangle(view, *corners, GREEN, 2)
        cv2.putText(view, f"{name}: {len(boxes)} faces", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, GREEN, 2, cv2.LINE_AA)
        views.append(view)
    cv2.imwrite(str(out), np.vstack(views), [cv2.IMWRITE_JPEG_QUALITY, quality])


if __name__ == "__main__":
    typer.run(main)
