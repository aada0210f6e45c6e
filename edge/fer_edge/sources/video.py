"""Video files: every frame is delivered, at media time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.errors import SourceError
from fer_edge.sources.containers import counts_frames, is_cut, mp4_seconds
from fer_edge.types import Frame, Image

_log = logging.getLogger(__name__)

# Part of the frames, or of the time, that a header promises, from which on a video is complete: headers are not exact.
_ENOUGH = 0.9
# Frames in a row that may be damaged: a group of pictures that lost its first.
_MOST_DAMAGED = 300
# Frames per second that no camera delivers.
_FASTEST = 10_000.0


class VideoSource:
    """A video file."""

    live = False
    stills = False
    hangs = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = False
        self.description = str(path)

    def __enter__(self) -> Self:
        try:
            str(self._path).encode()
        except UnicodeEncodeError:
            raise SourceError(f"{str(self._path)!r}: the name is not UTF-8, which OpenCV cannot open") from None
        self._capture = cv2.VideoCapture(str(self._path.absolute()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise SourceError(f"{self._path}: is not a readable video (empty, truncated or of an unknown format)")
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames = count if count > 0 else None
        if self.fps > _FASTEST:  # FFmpeg's clock for a picture that is attached to sound
            raise SourceError(f"{self._path}: is a sound file with a picture, not a video")
        across, down = (self._capture.get(part) for part in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
        self._pixel_ratio = across / down if across > 0 and down > 0 and 0.1 < across / down < 10 else 1.0
        is_file = self._path.is_file()  # a pipe opens only once
        self._counts_frames = is_file and counts_frames(self._path)
        self._is_cut = is_file and is_cut(self._path)
        self._duration = mp4_seconds(self._path) if is_file else None
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames. Raises SourceError at the end if the file broke off before the frames it promises."""
        index, seconds = 0, 0.0
        while not self._stopped:
            read, image = self._read(index)
            if not read:
                self._refuse_early_end(index, seconds)
                return
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index:
                seconds = stamp if stamp > seconds else seconds + 1 / self.fps
            yield Frame(self._square_pixels(np.asarray(image, np.uint8)), seconds, index)
            index += 1

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True

    def _square_pixels(self, image: Image) -> Image:
        """Stretch a picture whose pixels are not square to the proportions in which it is shown."""
        ratio = self._pixel_ratio
        if ratio == 1:
            return image
        height, width = image.shape[:2]
        size = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def _read(self, index: int) -> tuple[bool, cv2.typing.MatLike]:
        """Read the next frame; where the file promises more, what is damaged in between is passed over."""
        read, image = self._capture.read()
        attempts = _MOST_DAMAGED if self._counts_frames and self.frames and index < self.frames - 1 else 0
        while not read and attempts and not self._stopped:
            attempts -= 1
            read, image = self._capture.read()
        return read, image

    def _refuse_early_end(self, read: int, seconds: float) -> None:
        """Raise SourceError if frames are missing at the end.

        MP4, QuickTime and AVI files count their frames, those included that an edit list hides: then the duration of
        the picture decides. For others OpenCV multiplies the duration of the longest stream, which may be sound, by
        the rate: then it is only said.
        """
        if self._is_cut and not (self.frames and read >= self.frames):
            raise SourceError(f"{self._path}: broke off after {read} frames: the file is truncated")
        if self.frames is None or read >= min(_ENOUGH * self.frames, self.frames - 1):
            return
        if seconds + 1 / self.fps >= _ENOUGH * (self._duration or self.frames / self.fps):
            return
        message = f"{self._path}: had {read} frames where its header says {self.frames}"
        if self._counts_frames:
            raise SourceError(f"{message}: the rest cannot be read")
        _log.warning("%s", message)
