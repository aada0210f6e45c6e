"""Videos and still pictures: every frame is handed over, at media time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.errors import SourceError
from fer_edge.sources import IMAGE_SUFFIXES
from fer_edge.types import Frame

_log = logging.getLogger(__name__)

_SECONDS_A_PICTURE = 10.0
"""Still pictures stand so far apart that no face is taken for one of the picture before."""


class VideoSource:
    """A video file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = False
        self.description = str(path)

    def __enter__(self) -> Self:
        self._capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise SourceError(f"{self._path}: is not a readable video (empty, truncated or of an unknown format)")
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames = count if count > 0 else None
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames. Raises SourceError at the end if the file broke off before the frames it promises."""
        index = 0
        while not self._stopped:
            read, image = self._capture.read()
            if not read:
                self._refuse_truncated(index)
                return
            yield Frame(np.asarray(image, np.uint8), index / self.fps, index)
            index += 1

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True

    def _refuse_truncated(self, read: int) -> None:
        # Containers count a little differently from decoders; a file that lost its end misses far more.
        if self.frames and read < 0.95 * self.frames - 2:
            raise SourceError(f"{self._path}: broke off after {read} of {self.frames} frames: the file is truncated")


class ImageSource:
    """One picture, or a folder of them in order of name."""

    fps = 1 / _SECONDS_A_PICTURE

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = False
        self.description = str(path)

    def __enter__(self) -> Self:
        self._files = [self._path]
        if self._path.is_dir():
            self._files = sorted(file for file in self._path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        if not self._files:
            raise SourceError(f"{self._path}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self.frames: int | None = len(self._files)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures; in a folder, one that cannot be read is skipped and named."""
        for index, file in enumerate(self._files):
            if self._stopped:
                return
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                problem = f"{file}: is not a readable image"
                if len(self._files) == 1:
                    raise SourceError(problem)
                _log.warning("%s: skipped", problem)
                continue
            yield Frame(np.asarray(image, np.uint8), index * _SECONDS_A_PICTURE, index, file.name)

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True
