"""A clip with one large moving face, from a still: the camera pans and zooms."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from fer_edge.config import DetectorConfig
from fer_edge.detectors import open_detector

WIDTH, HEIGHT, FPS = 640, 480, 30
SECONDS = 12
# The face's side in pixels.
SIDE_MEAN, SIDE_SWING = 170.0, 60.0


def make_clip(still: Path, clip: Path) -> None:
    """Write the clip, .mp4. Raises SystemExit where the still shows no face."""
    image = np.asarray(cv2.imread(str(still)), np.uint8)
    faces = open_detector(DetectorConfig()).detect(image)
    if not faces:
        raise SystemExit(f"{still}: no face in it")
    face = faces[0]
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for index in range(SECONDS * FPS):
        seconds = index / FPS
        scale = (SIDE_MEAN + SIDE_SWING * math.sin(2 * math.pi * seconds / 9)) / face.width
        x = WIDTH / 2 + 120 * math.sin(2 * math.pi * seconds / 6) - scale * (face.x + face.width / 2)
        y = HEIGHT / 2 + 40 * math.sin(2 * math.pi * seconds / 4.1) - scale * (face.y + face.height / 2)
        placed = np.array([[scale, 0, x], [0, scale, y]], np.float32)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        writer.write(cv2.warpAffine(image, placed, (WIDTH, HEIGHT), flags=method, borderMode=cv2.BORDER_REFLECT))
    writer.release()
