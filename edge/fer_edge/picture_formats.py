"""What kind of picture a file is, by its content, and how the camera was held, by its EXIF data."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# What pictures' names end with, as a rule.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif"})
# Bytes that show the kind.
_HEAD = 32
# Bytes in which the first picture of a raw video has ended.
_FIRST_PICTURE = 4 * 2**20
# Brands of the ISO base media format that hold still pictures (ISO/IEC 23008-12, and the AVIF specification).
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif")
# Sizes of the headers that follow a BMP file's own.
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
# EXIF 2.32, 4.6.4: the tag's number; its values 1 to 8 are all ways to turn and mirror a picture.
_ORIENTATION = 0x0112
_JPEG_APP1, _JPEG_SCAN = 0xE1, 0xDA


def picture_kind(path: Path) -> str | None:
    """`jpeg`, `png`, `webp`, `bmp`, `tiff` or `heif` by a file's first bytes; None for others, and what is no file."""
    if not os.path.isfile(path):  # noqa: PTH113 - a pipe must not be opened; a name too long is no file
        return None
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(_HEAD))
            return None if kind == "jpeg" and _is_motion_jpeg(file) else kind
    except OSError:
        return None


def _is_motion_jpeg(file: BinaryIO) -> bool:
    """Whether one JPEG picture follows another, as in a raw video; a camera's multi-picture file says what it is."""
    file.seek(0)
    content = file.read(_FIRST_PICTURE)
    return b"\xff\xd9\xff\xd8\xff" in content and b"MPF\0" not in content


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its content, or by its name where the content says nothing else: a damaged one."""
    if picture_kind(path):
        return True
    return path.suffix.lower() in SUFFIXES and os.path.isfile(path) and not _is_film(path)  # noqa: PTH113


def _is_film(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return (
        head[:3] == b"\xff\xd8\xff"
        or head[4:8] == b"ftyp"
        or head.startswith(b"\x1aE\xdf\xa3")
        or head[8:12] == b"AVI "
    )


def kind_of(head: bytes) -> str | None:
    """The same of a file's first 32 bytes."""
    checks = {
        "jpeg": head.startswith(b"\xff\xd8\xff"),
        "png": head.startswith(b"\x89PNG\r\n\x1a\n"),
        "webp": head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        "tiff": head[:4] in {b"II*\0", b"MM\0*"},
        "bmp": head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADERS,
        "heif": head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS,
    }
    return next((kind for kind, is_it in checks.items() if is_it), None)


def orientation(content: bytes) -> int:
    """The EXIF orientation of a JPEG, PNG or WebP file: 1 to 8; 1, upright, where it does not tell."""
    for blob in _exif_blobs(content):
        found = _orientation_in(blob)
        if found:
            return found
    return 1


def _exif_blobs(content: bytes) -> Iterator[bytes]:
    """The TIFF structures that may hold it."""
    kind = kind_of(content[:_HEAD])
    if kind == "jpeg":
        yield from _jpeg_exif(content)
    elif kind == "png":
        yield from _chunks(content, 8, b"eXIf", "big", trailer=4, name_first=False)
    elif kind == "webp":
        for blob in _chunks(content, 12, b"EXIF", "little", trailer=0, name_first=True):
            yield blob.removeprefix(b"Exif\0\0")


def _jpeg_exif(content: bytes) -> Iterator[bytes]:
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != _JPEG_SCAN:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] == _JPEG_APP1 and content[place + 4 : place + 10] == b"Exif\0\0":
            yield content[place + 10 : place + 2 + length]
        place += 2 + max(length, 2)


def _chunks(
    content: bytes, place: int, wanted: bytes, order: str, *, trailer: int, name_first: bool
) -> Iterator[bytes]:
    """The chunks of one name in a PNG (length first, checksum after) or a RIFF file (name first, even lengths)."""
    while place + 8 <= len(content):
        first, second = content[place : place + 4], content[place + 4 : place + 8]
        name, size = (first, second) if name_first else (second, first)
        length = int.from_bytes(size, "big" if order == "big" else "little")
        if name == wanted:
            yield content[place + 8 : place + 8 + length]
        place += 8 + length + trailer + (length % 2 if name_first else 0)


def _orientation_in(tiff: bytes) -> int | None:
    """The value in the first directory of a TIFF structure; None where there is none, or it is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for index in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * index)
            if tag == _ORIENTATION and kind == 3 and 1 <= value <= 8:
                return int(value)
    except struct.error:
        return None
    return None
