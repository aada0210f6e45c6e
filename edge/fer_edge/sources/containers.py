"""Read the headers of video files.

MP4 and QuickTime (ISO/IEC 14496-12), AVI, Matroska and WebM (RFC 9559), FLV (Adobe's specification, version 10.1),
WMV (Microsoft's Advanced Systems Format, revision 01.20.06), Ogg (RFC 3533).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fer_edge.sources import gif, matroska

_LARGEST_MOOV = 64 * 2**20  # bytes; a film of many hours has a few megabytes
# The header of an FLV file is within this many bytes.
_FLV_HEAD = 4096
_EBML = b"\x1aE\xdf\xa3"
# The first object of an ASF file, and the one in it that holds the file's size.
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEAD = 1 << 16
# An MPEG program stream (ISO/IEC 13818-1, 2.5.3.3) begins like a raw stream, but has times.
_MPEG_PACK = b"\0\0\1\xba"
# A page of an Ogg file has at most this many bytes: a header of 27 + 255, and 255 segments of 255.
_OGG_PAGE = 65307


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a video file.

    Attributes:
        counts_frames: whether this kind of file holds the exact number of its frames.
        is_cut: whether the file is shorter than its header says.
        lacks_end: whether it has no mark of its end, which an Ogg file has, or ends within a picture, for a GIF file.
        is_matroska: whether it is a Matroska or WebM file.
        seconds: duration of the video track of an MP4, QuickTime, Matroska or WebM file; None for others, or if it is
            missing.
        is_raw: whether it is a bare stream of H.264, H.265, MPEG or JPEG frames without times.
        lacks_index: whether an MP4 or QuickTime file has no index because its recording was not finished.
    """

    counts_frames: bool = False
    is_cut: bool = False
    lacks_end: bool = False
    is_matroska: bool = False
    seconds: float | None = None
    is_raw: bool = False
    lacks_index: bool = False


def read_header(file: BinaryIO, size: int) -> Header:
    """Read the header of a file, or of its beginning.

    Args:
        file: a seekable file; may end early.
        size: size of the whole file in bytes.
    """
    file.seek(0)
    head = file.read(16)
    if head[4:8] == b"ftyp":
        return _mp4(file, size)
    if head[:4] == _EBML:
        return Header(
            is_cut=matroska.end_of_segment(file) > size, is_matroska=True, seconds=matroska.picture_seconds(file)
        )
    if head[:4] == b"OggS":
        return Header(lacks_end=_lacks_last_page(file, size))
    if head.startswith(gif.MARKS):
        return Header(lacks_end=_gif_is_cut(file, size))
    is_avi = (head[:4], head[8:12]) == (b"RIFF", b"AVI ")
    whole: float = int.from_bytes(head[4:8], "little") + 8 if is_avi else 0
    whole = _flv_size(file) if head[:3] == b"FLV" else _asf_size(file) if head == _ASF else whole
    is_raw = head.startswith((b"\0\0\0\1", b"\0\0\1", b"\xff\xd8\xff")) and not head.startswith(_MPEG_PACK)
    return Header(counts_frames=is_avi, is_cut=whole > size, is_raw=is_raw)


def _mp4(file: BinaryIO, size: int) -> Header:
    is_cut, has_index, seconds = False, False, None
    for kind, start, end in _boxes(file, size):
        is_cut = is_cut or end > size
        if kind == b"moov":
            has_index = True
            if end - start <= _LARGEST_MOOV:
                file.seek(start)
                seconds = _picture_seconds(file.read(end - start))
    return Header(counts_frames=True, is_cut=is_cut, seconds=seconds, lacks_index=not has_index)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content, and end of each box."""
    start = 0
    while start < size:
        file.seek(start)
        header = file.read(16)
        if len(header) < 8:
            return
        length, kind, content = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if length == 1:
            length, content = int.from_bytes(header[8:], "big"), start + 16
        end = size if length == 0 else start + max(length, 8)  # 0: the box ends with the file
        yield kind, content, end
        start = end


def _picture_seconds(moov: bytes) -> float | None:
    scale = 0
    for kind, content in _inner_boxes(moov):
        if kind == b"mvhd" and len(content) >= 24:
            place = 20 if content[0] == 1 else 12
            scale = int.from_bytes(content[place : place + 4], "big")
        if kind == b"trak" and scale:
            parts = dict(_inner_boxes(content))
            handler = dict(_inner_boxes(parts.get(b"mdia", b""))).get(b"hdlr", b"")
            head = parts.get(b"tkhd", b"")
            if handler[8:12] == b"vide" and len(head) >= 36:
                duration = head[28:36] if head[0] == 1 else head[20:24]
                return int.from_bytes(duration, "big") / scale or None
    return None


def _inner_boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        if length < 8:
            return
        yield content[place + 4 : place + 8], content[place + 8 : place + length]
        place += length


def _flv_size(file: BinaryIO) -> float:
    """Size of the finished file in bytes; 0 if the header does not hold it."""
    file.seek(0)
    head = file.read(_FLV_HEAD)
    place = head.find(b"\0\x08filesize\0")
    if place < 0 or place + 19 > len(head):
        return 0
    return float(struct.unpack_from(">d", head, place + 11)[0])


def _asf_size(file: BinaryIO) -> int:
    """Size of the finished file in bytes; 0 if the header does not hold it, as in a broadcast."""
    file.seek(0)
    head = file.read(_ASF_HEAD)
    place = head.find(_ASF_FILE)
    if place < 0 or place + 92 > len(head) or head[place + 88] & 1:
        return 0
    return int.from_bytes(head[place + 40 : place + 48], "little")


def _gif_is_cut(file: BinaryIO, size: int) -> bool:
    """Whether a GIF file ends within a picture; False where only the file's beginning is there."""
    file.seek(0)
    content = file.read(gif.LARGEST + 1)
    return size == len(content) <= gif.LARGEST and gif.is_cut(content)


def _lacks_last_page(file: BinaryIO, size: int) -> bool:
    """Whether an Ogg file does not end with a whole last page; False where only the file's beginning is there."""
    if file.seek(0, os.SEEK_END) < size:
        return False
    file.seek(max(size - _OGG_PAGE, 0))
    tail = file.read()
    place = tail.rfind(b"OggS")
    page = tail[place : place + 27]
    if place < 0 or len(page) < 27:
        return True
    lengths = tail[place + 27 : place + 27 + page[26]]
    return not page[5] & 4 or place + 27 + page[26] + sum(lengths) > len(tail)
