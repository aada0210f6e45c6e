"""The annotated video."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.config import VideoCodec
from fer_edge.errors import ConfigError, reason
from fer_edge.sinks import Sink
from fer_edge.sinks.overlay import draw
from fer_edge.sinks.video_writers import VIDEO_SUFFIXES, VideoWriter, choose_writer, plays_in_browsers
from fer_edge.terminal import printable
from fer_edge.types import Frame, FrameResult, Image

_log = logging.getLogger(__name__)

_HOW_TO_PLAY = "For H.264: pip install '.[recording]', or apt install python3-av. Or record to .webm"
_PART = ".part.mp4"
_FALLBACK_FPS = 30.0
# A frame is shown for at most so many seconds, so that an hour without a camera is not recorded as a still.
_LONGEST_GAP = 2.0
# So many bytes of the disk are always left free.
_RESERVE = 2_000_000
# So many bytes of the disk are reserved for the index, which is written when the video is finished.
_RESERVE_A_FRAME = 32


class Recording(Sink):
    """Writes annotated frames to a video, without sound.

    Every frame of a file is written at its own time; gaps of a camera are shortened to two seconds.

    An .mp4 cannot be played before its index is written at the end, so it has a temporary name until then. An .mkv or
    .webm can be played at any moment: it has its final name from the start and never replaces a file, so that a
    program that is killed and started again leaves two. When the disk is almost full, the recording ends and is kept.
    When the file is removed during the recording, a new one is started.
    """

    slow = True

    def __init__(self, path: Path, fps: float, *, codec: VideoCodec | None = None, score: bool = False) -> None:
        """Prepare.

        Args:
            path: the video, whose suffix is one of VIDEO_SUFFIXES.
            fps: the mean frames per second of the source.
            codec: None chooses the best that is installed.
            score: whether to draw the detector's scores.
        """
        self._score = score
        self._codec = codec
        self.description = str(path)
        self._path = self._aside = path
        self._asked = path
        self._in_place = path.suffix.lower() != ".mp4"
        self._fps = fps if 0.001 <= fps <= 240 else _FALLBACK_FPS
        self._ends = False
        self._writer: VideoWriter | None = None
        self._size = (0, 0)
        self._first_at = self._last_at = 0.0
        self._written = 0
        self._full = False

    def __enter__(self) -> Self:
        if self._path.suffix.lower() not in VIDEO_SUFFIXES:
            raise ConfigError(f"'{self._path}': a recording is written as {', '.join(VIDEO_SUFFIXES)}")
        suffix = self._path.suffix.lower()
        self._new_writer = choose_writer(suffix, self._codec)
        if not plays_in_browsers(suffix, self._codec) and self._codec is None:
            _log.warning("%s: MPEG-4 Part 2, which browsers do not play. %s", printable(str(self._path)), _HOW_TO_PLAY)
        try:
            if self._path.is_dir():
                raise IsADirectoryError(0, "is a folder")
            self._choose_file()
            self._remove_leftovers()
            self._aside.touch()
        except (OSError, ValueError) as error:
            raise ConfigError(f"'{self._path}': cannot be written ({reason(error)})") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the video. Raises ConfigError if that fails, which usually means that the disk is full."""
        try:
            if self._writer is not None:
                self._writer.close(last_frame=self._ends and not self._full)
                self._aside.replace(self._path)
        except OSError as error:
            discarded = "" if self._in_place else " and is discarded"
            raise ConfigError(f"{self._path}: the video could not be finished{discarded}: {reason(error)}") from error
        finally:
            if self._writer is None or not self._in_place:
                self._aside.unlink(missing_ok=True)

    def emit(self, result: FrameResult) -> None:
        """Write the frame at its time. Raises OSError where the video cannot be written."""
        self._refuse_removed_file()
        self._refuse_full_disk()
        frame = result.frame
        self._ends = not frame.live
        image = _with_even_sides(draw(result, score=self._score))
        if self._writer is None:
            self._open(image, frame)
        if (image.shape[1], image.shape[0]) != self._size:
            image = np.asarray(cv2.resize(image, self._size), np.uint8)
        if frame.live:
            self._first_at += max(frame.captured_at - self._last_at - _LONGEST_GAP, 0)
        self._last_at = frame.captured_at
        if self._writer is not None:
            self._writer.write(image, frame.captured_at - self._first_at)
            self._written += 1

    def _choose_file(self) -> None:
        """Choose the name of the file to write; for an .mkv or .webm it is the first free one."""
        if not self._in_place:
            self._aside = self._path.absolute().with_name(f".{self._path.stem}.{os.getpid()}{_PART}")
            return
        free = _unused(self._asked)
        if free not in {self._asked, self._path}:
            _log.info("%s exists already: recording to %s", self._asked, free)
        self._path = self._aside = free

    def _remove_leftovers(self) -> None:
        """Remove unfinished files that killed runs left of this video; without an index they cannot be played."""
        if self._in_place:
            return
        beginning = f".{self._path.stem}."
        for part in self._aside.parent.glob(f"*{_PART}"):
            pid = part.name.removeprefix(beginning).removesuffix(_PART)
            if part.name == f"{beginning}{pid}{_PART}" and pid.isdecimal() and not _runs(int(pid)):
                part.unlink(missing_ok=True)

    def _refuse_removed_file(self) -> None:
        """Close the file if it was removed or replaced, since nobody could find what is written to it."""
        if self._writer is None or self._full:
            return
        with suppress(FileNotFoundError):
            if self._identify() == self._identity:
                return
        self._let_go()
        self._writer = None
        self._choose_file()
        raise FileNotFoundError(errno.ENOENT, "the video was removed; a new one is started")

    def _identify(self) -> tuple[int, int]:
        status = os.stat(self._aside)  # noqa: PTH116 - once per frame
        return status.st_dev, status.st_ino

    def _refuse_full_disk(self) -> None:
        free = shutil.disk_usage(self._aside.parent).free
        if not self._full and free < _RESERVE + _RESERVE_A_FRAME * self._written:
            self._full = True
            self._let_go()
        if self._full:
            raise OSError(errno.ENOSPC, "No space left on device: the video ends here")

    def _let_go(self) -> None:
        """Finish the file, whether or not it still exists."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close(last_frame=False)

    def _open(self, image: Image, frame: Frame) -> None:
        self._size = (image.shape[1], image.shape[0])
        self._choose_file()
        self._writer = self._new_writer(self._aside, self._size, self._fps, frame.live)
        self._identity = self._identify()
        self._first_at = self._last_at = frame.captured_at
        self._written = 0


def _with_even_sides(image: Image) -> Image:
    """Repeat the last row or column where a side is odd, because the codec needs even sides."""
    below, right = image.shape[0] % 2, image.shape[1] % 2
    if not below and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def _unused(path: Path) -> Path:
    """Return the path, or the first free one of NAME-2, NAME-3 and so on. An empty file counts as free."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(name for name in chain([path], numbered) if not name.exists() or not name.stat().st_size)
