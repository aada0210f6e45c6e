"""Find out what is at an http URL, a camera without end or a file, and read files."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Literal
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

import cv2

from fer_edge.config import RunConfig
from fer_edge.errors import SourceError
from fer_edge.images import decode_image
from fer_edge.opencv import file_in_memory
from fer_edge.picture_formats import is_motion_jpeg, kind_of
from fer_edge.sources import Observer, Source
from fer_edge.sources.camera import CameraSource, open_stream
from fer_edge.sources.containers import Header, read_header
from fer_edge.sources.gif import LARGEST as _LARGEST_GIF
from fer_edge.sources.gif import with_delays
from fer_edge.sources.video import VideoSource
from fer_edge.terminal import without_password
from fer_edge.types import Frame, Image

_TIMEOUT_S = 2.0
# A container's header is within this many bytes.
_HEAD = 1 << 16
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


@dataclass(frozen=True, slots=True)
class _Answer:
    """A server's answer about a file.

    Attributes:
        size: in bytes; None if unknown.
        content_type: media type, in lower case.
        head: beginning of the file.
        has_ranges: whether the server sends a part of a file where it is asked for one.
    """

    size: int | None
    content_type: str
    head: bytes
    has_ranges: bool


class NetworkVideo(VideoSource):
    """A file at a URL: every frame is delivered, at media time. A single image is a still frame."""

    _may_be_interrupted = True

    def __init__(
        self,
        url: str,
        capture: cv2.VideoCapture,
        answer: _Answer | None,
        fps: float | None,
        picture: Image | None,
    ) -> None:
        super().__init__(without_password(url), fps)
        self.stills = picture is not None
        self._opened = capture
        self._answer = answer
        self._picture = picture

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames. Raises SourceError if the connection or the file ends early."""
        if self._picture is None:
            yield from super().__iter__()
        else:
            yield Frame(self._picture, still=True, name=self.description.rpartition("/")[2])

    def _read_header(self) -> Header:
        if self._answer is None or self._answer.size is None or self.stills:
            return Header()
        return read_header(io.BytesIO(self._answer.head), self._answer.size)

    def _open(self) -> cv2.VideoCapture:
        return self._opened

    def _why_no_frame(self) -> str:
        return f": {_INDEX_OUT_OF_REACH}" if _index_is_out_of_reach(self._answer) else ""


def open_url(config: RunConfig, url: str, observer: Observer | None) -> Source:
    """Open an http URL: something with a duration or a length is a file, anything else a camera.

    It is opened only once, since some cameras serve one viewer. If it cannot be opened, it counts as a camera, for
    which the program can wait.

    Raises:
        SourceError: it is an MP4 file that cannot be read over HTTP from this server, or a GIF file that cannot be
            downloaded.
    """
    capture = open_stream(url)
    if capture.isOpened() and int(capture.get(cv2.CAP_PROP_FOURCC)) == _GIF:
        capture.release()
        return _gif(config, url)
    if not capture.isOpened():
        if _index_is_out_of_reach(_ask(url, "GET")):
            raise SourceError(f"{without_password(url)} cannot be opened: {_INDEX_OUT_OF_REACH}")
        return CameraSource(url, config.camera, observer)
    has_duration = capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
    answer = None if has_duration else _ask(url, "HEAD")
    has_length = answer is not None and answer.size is not None and not answer.content_type.startswith(_ENDLESS)
    if has_duration or has_length:
        answer = _ask(url, "GET")
        return NetworkVideo(url, capture, answer, config.source_fps, _picture(url, answer))
    return CameraSource(url, config.camera, observer, capture)


def _ask(url: str, method: Literal["HEAD", "GET"]) -> _Answer | None:
    """Ask a server about a file, and with GET for its beginning; None if it does not answer like a file server."""
    try:
        with urlopen(_request(url, method), timeout=_TIMEOUT_S) as response:  # noqa: S310 - http or https alone
            return _Answer(
                _size(response),
                response.headers.get("Content-Type", "").lower(),
                response.read(_HEAD),
                response.status == HTTPStatus.PARTIAL_CONTENT,
            )
    except (OSError, HTTPException, ValueError):
        return None


def _index_is_out_of_reach(answer: _Answer | None) -> bool:
    """Whether it is an MP4 file with its index behind the pictures, and the server sends whole files alone."""
    if answer is None or answer.size is None or answer.has_ranges:
        return False
    return read_header(io.BytesIO(answer.head), answer.size).lacks_index


def _picture(url: str, answer: _Answer | None) -> Image | None:
    """Download an image, which is recognised by its content and turned upright; None for anything else."""
    if answer is None or not kind_of(answer.head[:32]) or (answer.size or 0) > _LARGEST_PICTURE:
        return None
    content = _download(url, _LARGEST_PICTURE)
    return None if content is None or is_motion_jpeg(content) else decode_image(content, without_password(url))


def _gif(config: RunConfig, url: str) -> Source:
    """Download a GIF file, since FFmpeg shows the pictures that have no delay only if they are given one."""
    content = _download(url, _LARGEST_GIF)
    if content is None:
        raise SourceError(
            f"{without_password(url)}: this GIF file could not be downloaded whole: the connection broke, or it is "
            f"larger than {_LARGEST_GIF >> 20} MB"
        )
    with file_in_memory(with_delays(content)) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    answer = _Answer(len(content), "image/gif", content, has_ranges=False)
    return NetworkVideo(url, capture, answer, config.source_fps, None)


def _download(url: str, largest: int) -> bytes | None:
    """Return a file; None if it is larger than so many bytes, or does not arrive whole."""
    try:
        with urlopen(_request(url, "GET", whole=True), timeout=_TIMEOUT_S) as response:  # noqa: S310 - http alone
            content = bytes(response.read(largest + 1))
            is_whole = len(content) <= largest and len(content) >= (_size(response) or 0)
    except (OSError, HTTPException, ValueError):
        return None
    return content if is_whole else None


def _request(url: str, method: str, *, whole: bool = False) -> Request:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"Range": f"bytes=0-{_HEAD - 1}"} if method == "GET" and not whole else {}
    if at:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(user).encode()).decode()
    return Request(parts._replace(netloc=host).geturl(), headers=headers, method=method)  # noqa: S310


def _size(response: HTTPResponse) -> int | None:
    """Size of the whole file in bytes (RFC 9110, 8.6 and 14.4)."""
    of_range = response.headers.get("Content-Range", "").rpartition("/")[2]
    size = of_range or response.headers.get("Content-Length", "")
    return int(size) if size.isdecimal() else None
