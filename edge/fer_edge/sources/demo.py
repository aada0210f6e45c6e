"""The built-in demo: composite faces, which show no real person, move, grow and change expression."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.assets.composites import load_composites
from fer_edge.preprocess import MODEL_SIZE
from fer_edge.types import FaceBox, Frame, Image

WIDTH, HEIGHT, FPS = 640, 480, 30.0

# An expression lasts this many seconds, of which the last are a cross-fade to the next.
_HOLD = 3.0
_FADE = 0.6
_ORDER = ("happy", "neutral", "surprise", "angry", "fear", "sad", "disgust")
# The side of the face in pixels varies about this mean by this much.
_SIDE_MEAN, _SIDE_SWING = 210.0, 50.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What the demo shows at one time: the ground truth for tests. `blend` goes from 0, `label`, to 1, `next_label`."""

    label: str
    next_label: str
    blend: float
    box: FaceBox


def scene_at(seconds: float) -> Scene:
    """Return the scene at a time since the demo began."""
    turn, within = divmod(seconds, _HOLD)
    label, next_label = (_ORDER[int(turn + step) % len(_ORDER)] for step in (0, 1))
    blend = min(max((within - (_HOLD - _FADE)) / _FADE, 0.0), 1.0)
    side = _SIDE_MEAN + _SIDE_SWING * math.sin(seconds * 2 * math.pi / 11)
    x = WIDTH / 2 + 130 * math.sin(seconds * 2 * math.pi / 7) - side / 2
    y = HEIGHT / 2 + 50 * math.sin(seconds * 2 * math.pi / 5) - side / 2
    return Scene(label, next_label, blend, FaceBox(x, y, side, side))


class DemoSource:
    """Frames of the demo scene, (480, 640, 3), without end."""

    description = "the built-in demo"
    fps = FPS
    frames: int | None = None
    stills = False
    skipped = 0
    hangs = False

    def __init__(self, *, paced: bool = True) -> None:
        """Prepare the demo; with `paced` it runs in real time, else as fast as possible."""
        self._paced = self.live = paced
        self._stopped = False

    def __enter__(self) -> Self:
        self._faces = {label: face.astype(np.float32) for label, face in load_composites().items()}
        self._background = _texture()
        self._mask = _soft_ellipse(MODEL_SIZE)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames; if late in real time, skip to the one that is due."""
        start = time.monotonic()
        index = 0
        while not self._stopped:
            if self._paced:
                late = time.monotonic() - start - index / FPS
                index += max(int(late * FPS), 0)
                time.sleep(max(-late, 0))
            image = self.render(scene_at(index / FPS))
            began = start if self._paced else 0.0
            yield Frame(image, began + index / FPS, index, live=self._paced)
            index += 1

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True

    def render(self, scene: Scene) -> Image:
        """Draw a scene: shape (480, 640, 3), BGR, uint8. To be fast, only the region of the face is drawn."""
        face = self._faces[scene.label] * (1 - scene.blend) + self._faces[scene.next_label] * scene.blend
        box = scene.box
        left, top = max(int(box.x) - 1, 0), max(int(box.y) - 1, 0)
        right, bottom = min(int(box.x + box.width) + 2, WIDTH), min(int(box.y + box.height) + 2, HEIGHT)
        scale = box.width / face.shape[0]
        placed = np.array([[scale, 0, box.x - left], [0, scale, box.y - top]], np.float32)
        size = (right - left, bottom - top)
        drawn = cv2.warpAffine(face, placed, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(self._mask, placed, size, flags=cv2.INTER_LINEAR)
        grey = self._background.copy()
        grey[top:bottom, left:right] += mask * (drawn - grey[top:bottom, left:right])
        return np.asarray(cv2.cvtColor(np.clip(grey, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR), np.uint8)


def _texture() -> npt.NDArray[np.float32]:
    """Smooth noise at three scales about mid-grey, always the same: shape (480, 640)."""
    rng = np.random.default_rng(0)
    total = np.full((HEIGHT, WIDTH), 110, np.float32)
    for cell, strength in ((80, 22.0), (20, 10.0), (5, 5.0)):
        noise = rng.normal(0, strength, (HEIGHT // cell + 1, WIDTH // cell + 1)).astype(np.float32)
        total += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return total


def _soft_ellipse(side: int) -> npt.NDArray[np.float32]:
    """1 over the face, falling smoothly to 0 at the edge of the square: shape (side, side)."""
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    radius = np.sqrt((axis[None, :] / 0.98) ** 2 + (axis[:, None] / 1.0) ** 2)
    return np.clip((1 - radius) / 0.15, 0, 1).astype(np.float32)
