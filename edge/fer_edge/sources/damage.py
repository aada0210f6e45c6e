"""Find damage in the structure of video files that hold no number of frames, so that missing ones can be told.

MPEG transport and program streams (ISO/IEC 13818-1, 2.4.3 and 2.5.3), Ogg (RFC 3533, 6), FLV (Adobe's specification,
version 10.1, annex E), WMV (Microsoft's Advanced Systems Format, revision 01.20.06, 3.2, 5).
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_Bytes = NDArray[np.uint8]

# Packets of a transport stream: their size in bytes and the place of their first mark. Blu-ray discs and camcorders put
# a time before each, broadcasters a checksum after it.
_TS_SYNC, _TS_PACKETS = 0x47, ((188, 0), (192, 4), (204, 0))
_TS_FILLER = 0x1FFF
_PS_PACK, _PS_END, _PS_FIRST_PACKET = 0xBA, 0xB9, 0xBB
# Ogg's checksum is that of zlib with the order of the bits reversed.
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_FLV_KINDS = {8, 9, 18}
_ASF, _ASF_FILE, _ASF_DATA = map(
    bytes.fromhex,
    (
        "3026b2758e66cf11a6d900aa0062ce6c",
        "a1dcab8c47a9cf118ee400c00c205365",
        "3626b2758e66cf11a6d900aa0062ce6c",
    ),
)


def is_damaged(path: Path) -> bool:
    """Whether parts of a file are missing or overwritten; False for other kinds, and for a file that is only cut.

    The whole file is read, or the header of each part. Raises OSError.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
    except ValueError as error:
        raise OSError("it was emptied meanwhile") from error
    head = bytes(content[:16])
    if head.startswith(b"OggS"):
        return _ogg_is_damaged(content)
    if head.startswith(b"FLV"):
        return _flv_is_damaged(content)
    if head == _ASF:
        return _asf_is_damaged(content)
    if head.startswith(bytes((0, 0, 1, _PS_PACK))):
        return _ps_is_damaged(content)
    for size, start in _TS_PACKETS:
        marks = content[start : start + 3 * size : size]
        if len(marks) == 3 and (marks == _TS_SYNC).all():
            return _ts_is_damaged(content[start:], size)
    return False


def _ts_is_damaged(content: _Bytes, size: int) -> bool:
    """Whether a packet does not begin with its mark, or some of a stream are missing by their counter.

    Where files were joined, the counter of the second begins anew, with the first packet of a frame.
    """
    packets = content[: len(content) // size * size].reshape(-1, size)
    if (packets[:, 0] != _TS_SYNC).any():
        return True
    first, low, flags = (packets[:, column] for column in (1, 2, 3))
    streams = (first & 0x1F).astype(np.uint16) << 8 | low
    for stream in np.unique(streams[streams != _TS_FILLER]):
        counted = (streams == stream) & (flags & 0x10 > 0)
        counters, begins = flags[counted] & 0x0F, first[counted] & 0x40 > 0
        steps = (counters[1:] - counters[:-1]) & 0x0F  # 0: a packet that was sent twice
        if ((steps > 1) & ~begins[1:]).any():
            return True
    return False


def _ps_is_damaged(content: _Bytes) -> bool:
    """Whether a pack or packet does not begin where the one before ends."""
    place = 0
    while place + 14 <= len(content):
        head = bytes(content[place : place + 14])
        code = head[3]
        if head[:3] != b"\0\0\1" or code < _PS_END:
            return True
        if code == _PS_PACK:
            place += 14 + (head[13] & 7) if head[4] & 0xC0 else 12  # MPEG-2, or MPEG-1
        else:
            place += 6 + int.from_bytes(head[4:6], "big") if code >= _PS_FIRST_PACKET else 4
    return False


def _ogg_is_damaged(content: _Bytes) -> bool:
    """Whether a page does not follow the one before, or differs from its checksum."""
    place = 0
    following: dict[bytes, int] = {}
    while place + 27 <= len(content):
        head = bytes(content[place : place + 27])
        lengths = content[place + 27 : place + 27 + head[26]]
        end = place + 27 + head[26] + int(lengths.sum())
        if end > len(content):
            return False
        stream, number = head[14:18], int.from_bytes(head[18:22], "little")
        is_first = head[5] & 0x02  # of a stream, as where files were joined
        if head[:4] != b"OggS" or (number != following.get(stream, number) and not is_first):
            return True
        if _ogg_checksum(bytes(content[place:end])) != head[22:26]:
            return True
        following[stream] = number + 1
        place = end
    return False


def _ogg_checksum(page: bytes) -> bytes:
    """The checksum over a page whose own place for it counts as zero."""
    page = page[:22] + bytes(4) + page[26:]
    reversed_sum = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return reversed_sum.to_bytes(4, "big").translate(_REVERSED)


def _flv_is_damaged(content: _Bytes) -> bool:
    """Whether a tag is of an unknown kind, or its length differs from the one that is repeated after it."""
    place = int.from_bytes(bytes(content[5:9]), "big") + 4
    while place + 11 <= len(content):
        kind, length = int(content[place]), int.from_bytes(bytes(content[place + 1 : place + 4]), "big")
        end = place + 11 + length
        if kind not in _FLV_KINDS:
            return True
        repeated = bytes(content[end : end + 4])
        if len(repeated) == 4 and int.from_bytes(repeated, "big") != 11 + length:
            return True
        place = end + 4
    return False


def _asf_is_damaged(content: _Bytes) -> bool:
    """Whether a packet does not begin like the first one. All have the same size."""
    start = int.from_bytes(bytes(content[16:24]), "little")
    header = bytes(content[:start])
    facts = header.find(_ASF_FILE)
    size = int.from_bytes(header[facts + 92 : facts + 96], "little")
    if facts < 0 or not size or bytes(content[start : start + 16]) != _ASF_DATA:
        return False
    whole = int.from_bytes(bytes(content[start + 16 : start + 24]), "little")
    packets = content[start + 50 : start + whole]
    firsts = packets[::size][: len(packets) // size]
    return bool((firsts != firsts[:1]).any())
