"""The annotated video."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.errors import ConfigError
from fer_edge.overlay import draw
from fer_edge.types import FrameResult, Image


class Recording:
    """Writes annotated frames to an .mp4, aside until it is finished; live gaps are filled by repeating frames."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.stem}.part{path.suffix}")
        self._fps = max(fps, 1.0)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._first_at = 0.0
        self._written = 0

    def __enter__(self) -> Self:
        if self._path.suffix.lower() != ".mp4":
            raise ConfigError(f"{self._path}: a recording is written as .mp4")
        try:
            self._aside.touch()
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written ({error.strerror})") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is None:
            self._aside.unlink(missing_ok=True)
            return
        self._writer.release()
        self._aside.replace(self._path)

    def emit(self, result: FrameResult) -> None:
        """Write the frame as often as its time asks for. Raises OSError where the video cannot be written."""
        image = draw(result)
        writer = self._writer or self._open(image, result.frame.captured_at)
        if (image.shape[1], image.shape[0]) != self._size:
            image = np.asarray(cv2.resize(image, self._size), np.uint8)
        due = round((result.frame.captured_at - self._first_at) * self._fps) + 1
        while self._written < due:
            writer.write(image)
            self._written += 1

    def _open(self, image: Image, captured_at: float) -> cv2.VideoWriter:
        self._size = (image.shape[1], image.shape[0])
        writer = cv2.VideoWriter(str(self._aside), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size)
        if not writer.isOpened():
            raise OSError(f"{self._path}: OpenCV cannot write this video")
        self._writer = writer
        self._first_at = captured_at
        return writer
