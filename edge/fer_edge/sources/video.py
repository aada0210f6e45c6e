"""Video files: every frame is delivered, at media time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.errors import ConfigError, SourceError, reason
from fer_edge.opencv import file_in_memory, readable_name
from fer_edge.sources.containers import Header, read_header
from fer_edge.sources.damage import is_damaged
from fer_edge.sources.gif import read_gif, with_delays
from fer_edge.sources.interlaced import cannot_be_converted
from fer_edge.sources.matroska import count_pictures
from fer_edge.types import Frame, Image

_log = logging.getLogger(__name__)

# A video is complete from this fraction of the frames or time in its header on, where the header is not exact.
_ENOUGH = 0.9
# A video that was cut out of another may lack the frame that its first ones refer to. So many are not an error.
_FEW = 8
# A time between two frames of this many periods is a gap.
_GAP = 1.5
# This many damaged frames in a row are skipped: a group of pictures without its first one.
_MOST_DAMAGED = 300
# No camera delivers more frames per second than this.
_FASTEST = 10_000.0
# A file without a frame rate gets this one.
_USUAL_FPS = 30.0


class VideoSource:
    """A video file."""

    live = False
    stills = False
    hangs = False
    # Whether frames may be lost on the way, as over a network.
    _may_be_interrupted = False

    def __init__(self, path: str | Path, fps: float | None = None) -> None:
        """Prepare.

        Args:
            path: path of a file or a pipe.
            fps: frames per second of a raw stream, which has no times.
        """
        self._path = Path(path)
        self._given_fps = fps
        self._stopped = False
        self._has_gaps = False
        self.skipped = 0
        self.description = str(path)

    def __enter__(self) -> Self:
        """Open it. Raises SourceError if it is no readable video, ConfigError if `fps` is given and it has times."""
        header = self._read_header()
        self._capture = self._open()
        if not self._capture.isOpened():
            raise SourceError(f"{self.description}: is not a readable video ({self._why_unreadable(header)})")
        self._header = header
        self.fps = self._rate()
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames = count if count > 0 else None
        if self.fps > _FASTEST:  # FFmpeg's clock for the cover image of a sound file, and for raw DV
            self._refuse_interlaced()
            raise SourceError(f"{self.description}: is a sound file with a cover image, not a video")
        across, down = (self._capture.get(part) for part in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
        self._pixel_ratio = across / down if across > 0 and down > 0 and 0.1 < across / down < 10 else 1.0
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames. Raises SourceError if they are interlaced, and at the end if some are missing."""
        index, seconds = 0, 0.0
        first: cv2.typing.MatLike = np.empty(0, np.uint8)
        while not self._stopped:
            read, image = self._read(index)
            if not read:
                self._refuse_early_end(index, seconds)
                return
            if index == 1 and np.array_equal(image, first):
                self._refuse_interlaced()
            first = image if index == 0 else first
            if index:
                earlier, seconds = seconds, self._time_after(seconds)
                self._has_gaps |= seconds - earlier > _GAP / self.fps
            yield Frame(self._square_pixels(np.asarray(image, np.uint8)), seconds, index)
            index += 1

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True

    def _read_header(self) -> Header:
        if not self._path.is_file():  # a pipe opens only once
            return Header()
        try:
            with self._path.open("rb") as file:
                return read_header(file, file.seek(0, os.SEEK_END))
        except OSError as error:
            raise SourceError(f"{self.description}: cannot be read ({reason(error)})") from error

    def _open(self) -> cv2.VideoCapture:
        try:
            gif = read_gif(self._path)
            with file_in_memory(with_delays(gif)) if gif else readable_name(self._path) as name:
                return cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        except OSError as error:
            raise SourceError(f"{self.description}: cannot be read ({reason(error)})") from error

    def _why_unreadable(self, header: Header) -> str:
        if self._path.is_file() and not self._path.stat().st_size:
            return "it is empty"
        if header.lacks_index:
            return "it has no index (moov): its recording was not finished, or its end is missing"
        return "truncated, or of an unknown format"

    def _why_no_frame(self) -> str:
        return ""

    def _rate(self) -> float:
        """Frames per second: the file's own, or the given or usual rate if it has no times."""
        rate = float(self._capture.get(cv2.CAP_PROP_FPS)) or _USUAL_FPS
        if not self._header.is_raw:
            if self._given_fps:
                raise ConfigError(f"--source-fps: {self.description} has times of its own. Leave the option out")
            return rate
        if not self._given_fps:
            _log.warning(
                "%s: a raw stream without times: %g frames per second assumed. Another rate: --source-fps",
                self.description,
                rate,
            )
        return self._given_fps or rate

    def _time_after(self, seconds: float) -> float:
        """Time of the frame that was just read, after one at `seconds`."""
        following = seconds + 1 / self.fps
        stamp = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        return stamp if stamp > seconds and not self._header.is_raw else following

    def _square_pixels(self, image: Image) -> Image:
        """Stretch a frame whose pixels are not square to its display proportions."""
        ratio = self._pixel_ratio
        if ratio == 1:
            return image
        height, width = image.shape[:2]
        size = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def _read(self, index: int) -> tuple[bool, cv2.typing.MatLike]:
        """Read the next frame; skip damaged ones if there should be more."""
        read, image = self._capture.read()
        attempts = _MOST_DAMAGED if self.frames and index < self.frames - 1 else 0
        skipped = 0
        while not read and skipped < attempts and not self._stopped:
            skipped += 1
            read, image = self._capture.read()
        self.skipped += skipped if read else 0
        return read, image

    def _refuse_interlaced(self) -> None:
        """Raise SourceError if the frames do not change since OpenCV cannot convert them."""
        if self._path.is_file() and cannot_be_converted(self._path):
            raise SourceError(
                f"{self.description}: is interlaced, and OpenCV {cv2.__version__} cannot convert such frames. Convert "
                "it first: ffmpeg -i IN -vf yadif OUT.mp4"
            )

    def _refuse_early_end(self, read: int, seconds: float) -> None:
        """Raise SourceError if frames are missing.

        MP4, QuickTime and AVI files hold the number of their frames. For MP4 and QuickTime it includes frames that an
        edit list hides: the track is shorter than all frames then. The pictures of Matroska and WebM files are counted,
        and MPEG streams, Ogg, FLV and WMV files are searched for damage, if there is a reason. For other files
        OpenCV multiplies the duration of the longest stream, which may be sound, by the rate; then a difference is only
        logged.
        """
        header, estimate = self._header, self.frames or 0
        if header.lacks_end or (header.is_cut and not (self.frames and read >= self.frames)):
            raise SourceError(f"{self.description}: ended after {read} frames: the file is truncated")
        if not read:
            raise SourceError(f"{self.description}: no frame of it can be read{self._why_no_frame()}")
        if header.is_matroska and self._path.is_file():
            if self._has_gaps or read < estimate - 1:
                self._compare_with_blocks(read)
        elif header.seconds and header.counts_frames:
            self._compare(read, int(min(estimate, header.seconds * self.fps)))
        elif (self._has_gaps or read < estimate - 1) and self._is_damaged():
            raise SourceError(self._others_are_lost(read))
        elif read < min(_ENOUGH * estimate, estimate - 1):
            if seconds + 1 / self.fps >= _ENOUGH * (header.seconds or estimate / self.fps):
                return
            message = f"{self.description}: had {read} frames where its header says {estimate}"
            if header.counts_frames or self._may_be_interrupted:
                raise SourceError(f"{message}: the others cannot be read")
            _log.warning("%s", message)

    def _compare_with_blocks(self, read: int) -> None:
        try:
            with self._path.open("rb") as file:
                count = count_pictures(file)
        except OSError as error:
            raise SourceError(f"{self.description}: cannot be read ({reason(error)})") from error
        if count is None:
            raise SourceError(self._others_are_lost(read))
        self._compare(read, count)

    def _is_damaged(self) -> bool:
        try:
            return self._path.is_file() and is_damaged(self._path)
        except OSError as error:
            raise SourceError(f"{self.description}: cannot be read ({reason(error)})") from error

    def _others_are_lost(self, read: int) -> str:
        return f"{self.description}: had {read} frames: the file is damaged, and others cannot be read"

    def _compare(self, read: int, there: int) -> None:
        """Log, or raise SourceError, if fewer frames were read than are in the file."""
        if read >= there - 1:
            return
        message = f"{self.description}: had {read} frames where its header says {there}: the others cannot be read"
        if there - read > min(_FEW, (1 - _ENOUGH) * there):
            raise SourceError(message)
        _log.warning("%s", message)
