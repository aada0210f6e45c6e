"""Encoders for recordings: PyAV where it is installed, otherwise those of OpenCV's wheels."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from fer_edge.config import VideoCodec
from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.opencv import readable_name, writable_name
from fer_edge.types import Image

_log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm")
# These are PyAV's names of the encoders, with the options that make them keep up with a camera without delay.
_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "crf": "32", "b": "0"}),
}
_FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
_FOURCC = {".mp4": "mp4v", ".mkv": "mp4v", ".webm": "VP80"}
# PyAV gets times in these fractions of a second, as usual in MPEG.
_CLOCK = 90_000
# Key frames, at which a player can start, are so many seconds apart.
_KEY_INTERVAL = 2.0
# A recording of a file with OpenCV has at least so many frames per second.
_LEAST_FPS = 25.0


class VideoWriter(Protocol):
    """An open video file, without sound."""

    def write(self, image: Image, seconds: float) -> None:
        """Write a frame, shape (H, W, 3) with even sides, BGR, which is shown from `seconds` on. Raises OSError."""
        ...

    def close(self, *, last_frame: bool) -> None:
        """Finish the file; the last frame is shown for the mean duration if asked for. Raises OSError."""
        ...


def choose_writer(suffix: str, codec: VideoCodec | None) -> Callable[[Path, tuple[int, int], float, bool], VideoWriter]:
    """Choose the writer of such a file: a function of path, (width, height), frames per second and `live`.

    Args:
        suffix: one of VIDEO_SUFFIXES.
        codec: None chooses H.264 (VP9 in WebM) if PyAV is installed, otherwise MPEG-4 Part 2 (VP8 in WebM).

    Raises:
        ConfigError: this kind of file cannot hold the codec.
        MissingExtra: the codec needs PyAV, which is not installed.
    """
    if suffix == ".webm" and codec in {"h264", "mpeg4"}:
        raise ConfigError(f"a .webm cannot hold {codec}: choose vp9, .mp4 or .mkv")
    wanted = codec or ("vp9" if suffix == ".webm" else "h264")
    if wanted != "mpeg4" and _can_encode(wanted):
        return lambda path, size, fps, _live: PyAvWriter(path, size, fps, wanted)
    if codec in _ENCODERS:
        raise MissingExtra(f"PyAV with {_ENCODERS[codec][0]}", "recording")
    return OpenCvWriter


def plays_in_browsers(suffix: str, codec: VideoCodec | None) -> bool:
    """Return whether browsers can play the codec that `choose_writer` would choose."""
    return suffix == ".webm" or (codec != "mpeg4" and _can_encode(codec or "h264"))


def _can_encode(codec: str) -> bool:
    try:
        import av  # noqa: PLC0415 - an optional part
    except ImportError:
        return False
    return _ENCODERS[codec][0] in av.codecs_available


class PyAvWriter:
    """Writes H.264 or VP9: every frame once, at its own time."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, codec: str) -> None:
        """Begin a file; raises OSError."""
        import av  # noqa: PLC0415 - an optional part

        self._new_frame: Any = av.VideoFrame.from_ndarray
        encoder, options = _ENCODERS[codec]
        self._file = path.open("wb", buffering=0)  # opened here, PyAV takes every name for UTF-8
        live_options = {"flush_packets": "1", "cluster_time_limit": "1000"} if path.suffix != ".mp4" else {}
        kind = _FORMATS[path.suffix.lower()]
        self._container: Any = av.open(self._file, "w", format=kind, container_options=live_options)
        rate = Fraction(fps).limit_denominator(1000)
        self._stream: Any = self._container.add_stream(encoder, rate=rate, options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, _CLOCK)
        self._stream.codec_context.gop_size = max(round(_KEY_INTERVAL * fps), 1)
        self._stream.codec_context.thread_count = 1
        self._duration = round(_CLOCK / fps)
        self._at = -1

    def write(self, image: Image, seconds: float) -> None:
        """Write a frame. Raises OSError."""
        self._at = max(round(seconds * _CLOCK), self._at + 1)
        frame = self._new_frame(image, format="bgr24")
        frame.pts, frame.time_base = self._at, Fraction(1, _CLOCK)
        self._mux(self._stream.encode(frame))

    def close(self, *, last_frame: bool) -> None:  # noqa: ARG002 - the last packet has its duration
        """Finish the file if it is not finished yet. Raises OSError."""
        if self._file.closed:
            return
        try:
            self._mux(self._stream.encode(None))
            self._container.close()
        finally:
            self._file.close()

    def _mux(self, packets: Any) -> None:  # noqa: ANN401 - an optional part
        for packet in packets:
            packet.duration = self._duration
            self._container.mux(packet)


class OpenCvWriter:
    """Writes MPEG-4 Part 2, or VP8 in WebM, at a constant rate: a frame is repeated until the next is due."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, live: bool) -> None:
        """Begin a file; raises OSError."""
        # A file's rate is a mean, and its frames may be closer together, so it is written at a multiple of the rate.
        self._repeat = max(math.ceil((1.0 if live else _LEAST_FPS) / fps), 1)
        self._fps = fps * self._repeat
        self._live = live
        self._path = path
        self._last: Image | None = None
        self._written = 0
        fourcc = cv2.VideoWriter.fourcc(*_FOURCC[path.suffix.lower()])
        with writable_name(path) as name:
            self._writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, fourcc, self._fps, size)
        if not self._writer.isOpened():
            raise OSError(f"OpenCV cannot write a video of {size[0]}x{size[1]} pixels")

    def write(self, image: Image, seconds: float) -> None:
        """Repeat the last frame for as long as it was shown, then write this one; a camera's only if it is due."""
        missing = round(seconds * self._fps) + 1 - self._written
        self._write_last(missing - 1)
        self._last = image
        if missing > 0 or not self._live:
            self._write_last(1)

    def close(self, *, last_frame: bool) -> None:
        """Finish the file. Raises OSError if it cannot be read back completely."""
        if last_frame and not self._live:
            self._write_last(self._repeat - 1)
        self._writer.release()
        if self._count_frames() < self._written:
            raise OSError("it cannot be read back. Is the disk full?")

    def _write_last(self, times: int) -> None:
        if self._last is None:
            return
        for _ in range(times):
            self._writer.write(np.asarray(self._last))
            self._written += 1

    def _count_frames(self) -> int:
        with readable_name(self._path) as name:
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        return count
