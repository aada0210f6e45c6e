"""What the headers of video files promise: MP4 and QuickTime (ISO/IEC 14496-12), and AVI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_LARGEST_MOOV = 64 * 2**20  # bytes; a film of many hours has a few megabytes


def counts_frames(path: Path) -> bool:
    """Whether this kind of file holds the exact number of its frames."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" or (head[:4], head[8:12]) == (b"RIFF", b"AVI ")


def is_cut(path: Path) -> bool:
    """Whether an MP4 or QuickTime file is shorter than its boxes say; False for others."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        return any(end > size for _, _, end in _boxes(file, size))


def mp4_seconds(path: Path) -> float | None:
    """Seconds for which the picture of an MP4 or QuickTime file is shown; None for others, and where it is not told."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        for kind, start, end in _boxes(file, size):
            if kind == b"moov" and end - start <= _LARGEST_MOOV:
                file.seek(start)
                return _picture_seconds(file.read(end - start))
    return None


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin of the content, and end of each box, as far as the file goes."""
    start = 0
    while start < size:
        file.seek(start)
        header = file.read(16)
        length, kind, content = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if start == 0 and kind != b"ftyp":
            return
        if length == 1:
            length, content = int.from_bytes(header[8:], "big"), start + 16
        end = size if length == 0 else start + max(length, 8)  # 0: it reaches to the end, wherever that is
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
