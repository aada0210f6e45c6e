"""Read Matroska and WebM files (RFC 9559): their end, the duration of the picture, and the number of pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import BinaryIO

EBML, SEGMENT = 0x1A45DFA3, 0x18538067
_CLUSTER, _BLOCK_GROUP, _TRACKS, _TRACK = 0x1F43B675, 0xA0, 0x1654AE6B, 0xAE
_SIMPLE_BLOCK, _BLOCK = 0xA3, 0xA1
_TRACK_NUMBER, _TRACK_UID, _TRACK_TYPE, _CODEC = 0xD7, 0x73C5, 0x83, 0x86
_TAGS, _TAG, _TARGETS, _TARGET_UID, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = (
    *(0x1254C367, 0x7373, 0x63C0, 0x63C5),
    *(0x67C8, 0x45A3, 0x4487),
)
_VIDEO = 1
# What precedes the pictures has a few kilobytes. This many bytes allow for attached fonts.
_LARGEST = 64 * 2**20
# Their content is walked through; that of all others is skipped.
_ENTERED = {SEGMENT, _CLUSTER, _BLOCK_GROUP, _TRACKS}
# Everything else that may stand beside them: SeekHead, Info, Cues, Chapters, Attachments, Tags, Void, CRC-32; in a
# cluster Timestamp, Position, PrevSize, SilentTracks; in a block group BlockDuration, ReferenceBlock, BlockAdditions,
# DiscardPadding, ReferencePriority, CodecState, Slices.
_SKIPPED = {0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1043A770, 0x1941A469, _TAGS, 0xEC, 0xBF, EBML}
_SKIPPED |= {0xE7, 0xA7, 0xAB, 0x5854, 0x9B, 0xFB, 0x75A1, 0x75A2, 0xFA, 0xFD, 0xA4, 0x8E}
_KNOWN = _ENTERED | _SKIPPED | {_TRACK, _SIMPLE_BLOCK, _BLOCK}


def count_pictures(file: BinaryIO) -> int | None:
    """Return the number of pictures of the first video track that are shown; None if the structure is damaged.

    It reads the header of each block and skips the rest.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    track, is_vp8, count = None, False, 0
    while file.tell() < size:
        kind, length = read_number(file, keep_marker=True), read_number(file)
        if kind not in _KNOWN:
            return None
        start = file.tell()
        if kind == _TRACK and length is not None and track is None:
            track, is_vp8 = _video_track(file.read(length))
        elif kind in {_SIMPLE_BLOCK, _BLOCK}:
            count += read_number(file) == track and _is_shown(file.read(4), is_vp8=is_vp8)
        if kind in _ENTERED:
            continue
        if length is None:
            return None
        file.seek(start + length)  # beyond the end if the recording was cut there
    return count


def picture_seconds(file: BinaryIO) -> float | None:
    """Return the duration of the first video track, which FFmpeg and mkvmerge store as a tag; None without it.

    Only what precedes the pictures is read.
    """
    file.seek(0)
    uid = None
    while (kind := read_number(file, keep_marker=True)) and kind != _CLUSTER:
        length = read_number(file)
        if kind in _ENTERED:
            continue
        if length is None or length > _LARGEST:
            return None
        content = file.read(length)
        if kind == _TRACK and uid is None and _is_video(parts := dict(_elements(content))):
            uid = parts.get(_TRACK_UID)
        elif kind == _TAGS:
            return next(_durations(content, uid), None)
    return None


def end_of_segment(file: BinaryIO) -> int:
    """Return the end of the segment in bytes; 0 if its length is unknown, as in a live stream."""
    file.seek(4)
    file.seek(read_number(file) or 0, os.SEEK_CUR)
    if read_number(file, keep_marker=True) != SEGMENT:
        return 0
    length = read_number(file)
    return 0 if length is None else file.tell() + length


def read_number(file: BinaryIO, *, keep_marker: bool = False) -> int | None:
    """Read a number of variable length (RFC 8794, 4), or an ID with its marker; None if all bits are set: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return 0
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big")
    if keep_marker:
        return value
    bits = 7 * (more + 1)
    value &= (1 << bits) - 1
    return None if value == (1 << bits) - 1 else value


def _video_track(content: bytes) -> tuple[int | None, bool]:
    """The number of a track and whether it is VP8, from its entry; no number if it is no video."""
    parts = dict(_elements(content))
    if not _is_video(parts):
        return None, False
    return int.from_bytes(parts.get(_TRACK_NUMBER, b""), "big"), parts.get(_CODEC) == b"V_VP8"


def _is_video(track: Mapping[int, bytes]) -> bool:
    return int.from_bytes(track.get(_TRACK_TYPE, b""), "big") == _VIDEO


def _durations(tags: bytes, uid: bytes | None) -> Iterator[float]:
    for kind, content in _elements(tags):
        parts = list(_elements(content)) if kind == _TAG else []
        targets = dict(_elements(dict(parts).get(_TARGETS, b"")))
        for tag in (dict(_elements(inner)) for name, inner in parts if name == _SIMPLE_TAG):
            if targets.get(_TARGET_UID) == uid and tag.get(_TAG_NAME) == b"DURATION":
                found = re.match(rb"(\d+):(\d+):([\d.]+)", tag.get(_TAG_STRING, b""))
                if found:
                    yield 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    file = BytesIO(content)
    while kind := read_number(file, keep_marker=True):
        yield kind, file.read(read_number(file) or 0)


def _is_shown(start: bytes, *, is_vp8: bool) -> bool:
    """Whether a block is displayed, from what follows its track number: time, flags, and the picture's first byte.

    VP8 stores pictures that only others refer to (RFC 6386, 9.1: show_frame).
    """
    if len(start) < 4 or start[2] & 0x08:
        return False
    return not is_vp8 or bool(start[3] & 0x10)
