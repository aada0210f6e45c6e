"""Video files: every frame is delivered, at media time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.errors import SourceError
from fer_edge.types import Frame

_log = logging.getLogger(__name__)

# Part of the frames, or of the time, that a header promises, from which on a video is complete: headers are not exact.
_ENOUGH = 0.9
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
        self._counts_frames = self._path.is_file() and _counts_frames(self._path)
        self._is_cut = self._path.is_file() and _is_cut(self._path)  # a pipe opens only once
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames. Raises SourceError at the end if the file broke off before the frames it promises."""
        index, seconds = 0, 0.0
        while not self._stopped:
            read, image = self._capture.read()
            if not read:
                self._refuse_early_end(index, seconds)
                return
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index:
                seconds = stamp if stamp > seconds else seconds + 1 / self.fps
            yield Frame(np.asarray(image, np.uint8), seconds, index)
            index += 1

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True

    def _refuse_early_end(self, read: int, seconds: float) -> None:
        """Raise SourceError if frames are missing at the end.

        MP4, QuickTime and AVI files count their frames. For others OpenCV multiplies the duration of the longest
        stream, which may be sound, by the rate: then it is only said.
        """
        if self._is_cut and not (self.frames and read >= self.frames):
            raise SourceError(f"{self._path}: broke off after {read} frames: the file is truncated")
        if self.frames is None or read >= _ENOUGH * self.frames or seconds >= _ENOUGH * self.frames / self.fps:
            return
        message = f"{self._path}: had {read} frames where its header says {self.frames}"
        if self._counts_frames:
            raise SourceError(f"{message}: the rest cannot be read")
        _log.warning("%s", message)


def _counts_frames(path: Path) -> bool:
    """Whether this kind of file holds the exact number of its frames."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" or (head[:4], head[8:12]) == (b"RIFF", b"AVI ")


def _is_cut(path: Path) -> bool:
    """Whether an MP4 or QuickTime file is shorter than its boxes say (ISO/IEC 14496-12, 4.2); False for others."""
    end = 0
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        while end < size:
            file.seek(end)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if end == 0 and kind != b"ftyp":
                return False
            if length == 1:
                length = int.from_bytes(header[8:], "big")
            if length == 0:  # this box reaches to the end, wherever that is
                return False
            end += max(length, 8)
    return end > size
