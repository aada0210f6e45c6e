"""Read the headers of video files.

MP4 and QuickTime (ISO/IEC 14496-12), AVI, Matroska and WebM (RFC 9559), FLV (Adobe's specification, version 10.1).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_LARGEST_MOOV = 64 * 2**20  # bytes; a film of many hours has a few megabytes
# The header of an FLV file is within this many bytes.
_FLV_HEAD = 4096
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a video file.

    Attributes:
        counts_frames: whether this kind of file holds the exact number of its frames.
        is_cut: whether the file is shorter than its header says.
        seconds: duration of the video track of an MP4 or QuickTime file; None for others, or if it is missing.
        is_raw: whether it is a bare stream of H.264, H.265, MPEG or JPEG frames without times.
        lacks_index: whether an MP4 or QuickTime file has no index because its recording was not finished.
    """

    counts_frames: bool = False
    is_cut: bool = False
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
    if (head[:4], head[8:12]) == (b"RIFF", b"AVI "):
        return Header(counts_frames=True, is_cut=int.from_bytes(head[4:8], "little") + 8 > size)
    if head[:4] == _EBML:
        return Header(is_cut=_matroska_end(file) > size)
    if head[:3] == b"FLV":
        return Header(is_cut=_flv_size(file) > size)
    return Header(is_raw=head.startswith((b"\0\0\0\1", b"\0\0\1", b"\xff\xd8\xff")))


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


def _matroska_end(file: BinaryIO) -> int:
    """End of the segment in bytes; 0 if its length is unknown, as in a live stream."""
    file.seek(4)
    file.seek(_vint(file) or 0, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """A number of variable length (RFC 8794, 4); None if all its bits are set, which means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return 0
    more = 8 - first[0].bit_length()
    value = (first[0] & ((1 << (7 - more)) - 1)) << 8 * more | int.from_bytes(file.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value


def _flv_size(file: BinaryIO) -> float:
    """Size of the finished file in bytes; 0 if the header does not hold it."""
    file.seek(0)
    head = file.read(_FLV_HEAD)
    place = head.find(b"\0\x08filesize\0")
    if place < 0 or place + 19 > len(head):
        return 0
    return float(struct.unpack_from(">d", head, place + 11)[0])
