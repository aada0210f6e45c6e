"""Find out what is at an http URL, a camera without end or a file, and read files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2

from fer_edge.config import RunConfig
from fer_edge.errors import SourceError
from fer_edge.images import decode_image, why_undecodable
from fer_edge.opencv import file_in_memory
from fer_edge.picture_formats import is_motion_jpeg, kind_of
from fer_edge.sources import Observer, Source
from fer_edge.sources.camera import CameraSource, open_stream
from fer_edge.sources.containers import Header, read_header
from fer_edge.sources.gif import LARGEST as _LARGEST_GIF
from fer_edge.sources.gif import with_delays
from fer_edge.sources.http_files import Answer, ask, download
from fer_edge.sources.pictures import PictureSource
from fer_edge.sources.video import VideoSource
from fer_edge.terminal import without_password
from fer_edge.types import Frame, Image

# FFmpeg's name of the codec, as OpenCV returns it.
_GIF = int.from_bytes(b"gif ", "little")
# Larger images are not downloaded.
_LARGEST_PICTURE = 64 * 2**20
# These media types may have a length and yet no end: a playlist is rewritten.
_ENDLESS = ("multipart/", "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl")
_INDEX_OUT_OF_REACH = (
    "its index (moov) is at its end, and this server sends no parts of files. Download it first, or move the index: "
    "ffmpeg -i IN.mp4 -c copy -movflags +faststart OUT.mp4"
)


class NetworkVideo(VideoSource):
    """A video file at a URL: every frame is delivered, at media time."""

    _may_be_interrupted = True

    def __init__(self, url: str, capture: cv2.VideoCapture, answer: Answer | None, fps: float | None) -> None:
        super().__init__(without_password(url), fps)
        self._opened = capture
        self._answer = answer

    def _read_header(self) -> Header:
        if self._answer is None or self._answer.size is None:
            return Header()
        return read_header(io.BytesIO(self._answer.head), self._answer.size)

    def _open(self) -> cv2.VideoCapture:
        return self._opened

    def _why_no_frame(self) -> str:
        return f": {_INDEX_OUT_OF_REACH}" if _index_is_out_of_reach(self._answer) else ""


class NetworkPicture(PictureSource):
    """A single image at a URL: a still frame."""

    def __init__(self, url: str, image: Image) -> None:
        address = without_password(url)
        super().__init__(Path(address.rpartition("/")[2]))
        self.description = address  # as of other files at URLs, not the name alone
        self.frames = 1
        self._image = image

    def __enter__(self) -> Self:
        return self

    def __iter__(self) -> Iterator[Frame]:
        """Yield the image."""
        yield Frame(self._image, still=True, name=self.description.rpartition("/")[2])


def open_url(config: RunConfig, url: str, observer: Observer | None) -> Source:
    """Open an http URL: something with a duration or a length is a file, as is an image; anything else is a camera.

    It is opened only once, since some cameras serve one viewer. If it cannot be opened, it counts as a camera, for
    which the program can wait.

    Raises:
        SourceError: it is an MP4 file that cannot be read over HTTP from this server, an image that cannot be read, or
            a GIF file that cannot be downloaded.
    """
    capture = open_stream(url)
    if not capture.isOpened():
        answer = ask(url, "GET")
        picture = _picture(url, answer)
        if picture is None and _index_is_out_of_reach(answer):
            raise SourceError(f"{without_password(url)} cannot be opened: {_INDEX_OUT_OF_REACH}")
        return picture or CameraSource(url, config.camera, observer)
    if int(capture.get(cv2.CAP_PROP_FOURCC)) == _GIF:
        capture.release()
        return _gif(config, url)
    has_duration = capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
    answer = None if has_duration else ask(url, "HEAD")
    has_end = has_duration or (
        answer is not None and answer.size is not None and not answer.content_type.startswith(_ENDLESS)
    )
    if has_end or (answer is not None and answer.content_type.startswith("image/")):
        answer = ask(url, "GET")
        if picture := _picture(url, answer):
            return picture
    return (
        NetworkVideo(url, capture, answer, config.source_fps)
        if has_end
        else CameraSource(url, config.camera, observer, capture)
    )


def _index_is_out_of_reach(answer: Answer | None) -> bool:
    """Whether it is an MP4 file with its index behind the pictures, and the server sends whole files alone."""
    if answer is None or answer.has_ranges:
        return False
    size = len(answer.head) if answer.size is None else answer.size
    return read_header(io.BytesIO(answer.head), size).lacks_index


def _picture(url: str, answer: Answer | None) -> Source | None:
    """Download an image, which is recognised by its content and turned upright; None for anything else.

    Raises:
        SourceError: it is an image that cannot be read.
    """
    kind = kind_of(answer.head[:32]) if answer else None
    if answer is None or kind is None or (answer.size or 0) > _LARGEST_PICTURE:
        return None
    content, name = download(url, _LARGEST_PICTURE), without_password(url)
    if content is None and answer.size is not None:
        raise SourceError(f"{name}: this image could not be downloaded whole")
    if content is None or is_motion_jpeg(content):
        return None
    image = decode_image(content, name)
    if image is None:
        raise SourceError(f"{name}: {why_undecodable(kind)}")
    return NetworkPicture(url, image)


def _gif(config: RunConfig, url: str) -> Source:
    """Download a GIF file, since FFmpeg shows the pictures that have no delay only if they are given one."""
    content = download(url, _LARGEST_GIF)
    if content is None:
        raise SourceError(
            f"{without_password(url)}: this GIF file could not be downloaded whole: the connection broke, or it is "
            f"larger than {_LARGEST_GIF >> 20} MB"
        )
    with file_in_memory(with_delays(content)) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    answer = Answer(len(content), "image/gif", content, has_ranges=False)
    return NetworkVideo(url, capture, answer, config.source_fps)
