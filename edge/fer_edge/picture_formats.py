"""Recognise image files by their content, and read their orientation from EXIF data."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Names of image files usually end with one of these.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".pgm", ".ppm"}
)
# The format follows from this many first bytes.
_HEAD = 32
# The first image of a raw video ends within this many bytes.
_FIRST_PICTURE = 4 * 2**20
# These brands of the ISO base media format hold still images (ISO/IEC 23008-12, and the AVIF specification).
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif")
# These are the sizes of the second header of a BMP file.
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
# This is the number of the orientation tag (EXIF 2.32, 4.6.4). Its values 1 to 8 are all rotations and mirrorings.
_ORIENTATION = 0x0112
# Orientations of what is rotated anticlockwise by 0 to 3 quarters, and then mirrored.
_ROTATED, _ROTATED_THEN_LEFT_RIGHT, _ROTATED_THEN_UPSIDE_DOWN = (1, 8, 3, 6), (2, 7, 4, 5), (4, 5, 2, 7)
_JPEG_APP1, _JPEG_SCAN = 0xE1, 0xDA


def picture_kind(path: Path) -> str | None:
    """The format by a file's first bytes, for example `jpeg`; None for what is no image, or if it is no file."""
    if not os.path.isfile(path):  # noqa: PTH113 - never open a pipe; pathlib raises for too long a name
        return None
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(_HEAD))
            return None if kind == "jpeg" and _begins_raw_video(file) else kind
    except OSError:
        return None


def _begins_raw_video(file: BinaryIO) -> bool:
    file.seek(0)
    return is_motion_jpeg(file.read(_FIRST_PICTURE))


def is_motion_jpeg(content: bytes) -> bool:
    """Whether one JPEG image follows another, as in a raw video. A camera's multi-picture file is marked as such."""
    return b"\xff\xd9\xff\xd8\xff" in content and b"MPF\0" not in content


def is_picture(path: Path) -> bool:
    """Whether a file is an image by its content, or by its name if the content is unknown, as in a damaged image."""
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
    """The format from a file's first 32 bytes: `jpeg`, `png`, `webp`, `tiff`, `bmp`, `heif`, `jp2` or `pnm`."""
    checks = {
        "jpeg": head.startswith(b"\xff\xd8\xff"),
        "png": head.startswith(b"\x89PNG\r\n\x1a\n"),
        "webp": head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        "tiff": head[:4] in {b"II*\0", b"MM\0*"},
        "bmp": head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADERS,
        "heif": head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS,
        "jp2": head.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")),
        "pnm": re.match(rb"P[1-7]\s", head) is not None,
    }
    return next((kind for kind, is_it in checks.items() if is_it), None)


def is_animated(content: bytes) -> bool:
    """Whether a file is an animated WebP (RFC 9649, 2.7.1) or PNG image (PNG, third edition, 11.3.6)."""
    kind = kind_of(content[:_HEAD])
    if kind == "png":
        return content.find(b"acTL", 0, content.find(b"IDAT")) > 0
    return kind == "webp" and content[12:16] == b"VP8X" and bool(int.from_bytes(content[20:21]) & 0x02)


def why_unsuited(path: Path) -> str:
    """What a file is that holds pictures, but is no image or video file; empty for others."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    count = int.from_bytes(head[4:6], "little")
    if head[:4] in {b"\0\0\1\0", b"\0\0\2\0"} and int.from_bytes(head[18:22], "little") == 6 + 16 * count:
        return "is an icon of several sizes. Save the largest one as PNG"
    names = {b"%PDF-": "PDF", b"8BPS": "Photoshop", b"PK\3\4": "ZIP or office"}
    name = next((name for mark, name in names.items() if head.startswith(mark)), "")
    return f"is a {name} file. Save its pictures as PNG or JPEG" if name else ""


def orientation(content: bytes) -> int:
    """The orientation of a JPEG, PNG, WebP, HEIC or AVIF file as EXIF counts it, 1 to 8; 1 (upright) if it has none."""
    if kind_of(content[:_HEAD]) == "heif" and (found := heif_transformation(content)):
        return found
    for blob in _exif_blobs(content):
        found = _orientation_in(blob)
        if found:
            return found
    return 1


def heif_transformation(content: bytes) -> int | None:
    """What a HEIC or AVIF file itself says about its orientation, as EXIF would count it; None if it says nothing.

    It is rotated first, then mirrored (ISO/IEC 23008-12, 6.5.10 and 6.5.12). Where a file says it, EXIF data, which
    most cameras store too, do not count.
    """
    meta = _heif_meta(content)
    rotation, mirror = (re.search(name + rb"(.)", meta, re.DOTALL) for name in (b"irot", b"imir"))
    if rotation is None and mirror is None:
        return None
    quarters = rotation[1][0] & 3 if rotation else 0
    if mirror is None:
        return _ROTATED[quarters]
    return (_ROTATED_THEN_LEFT_RIGHT if mirror[1][0] & 1 else _ROTATED_THEN_UPSIDE_DOWN)[quarters]


def _heif_meta(content: bytes) -> bytes:
    place = 0
    while place + 8 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        size = int.from_bytes(content[place + 8 : place + 16], "big") if size == 1 else size or len(content)
        if content[place + 4 : place + 8] == b"meta":
            return content[place : place + size]
        place += max(size, 8)
    return b""


def _exif_blobs(content: bytes) -> Iterator[bytes]:
    """Yield the TIFF structures that may hold the orientation."""
    kind = kind_of(content[:_HEAD])
    if kind == "jpeg":
        yield from _jpeg_exif(content)
    elif kind == "png":
        yield from _chunks(content, 8, b"eXIf", "big", trailer=4, name_first=False)
    elif kind == "webp":
        for blob in _chunks(content, 12, b"EXIF", "little", trailer=0, name_first=True):
            yield blob.removeprefix(b"Exif\0\0")
    elif kind == "heif":
        for found in re.finditer(rb"II\*\0|MM\0\*", content):
            yield content[found.start() :]


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
    """Yield the chunks of one name in a PNG (length first, checksum last) or a RIFF file (name first, even lengths)."""
    while place + 8 <= len(content):
        first, second = content[place : place + 4], content[place + 4 : place + 8]
        name, size = (first, second) if name_first else (second, first)
        length = int.from_bytes(size, "big" if order == "big" else "little")
        if name == wanted:
            yield content[place + 8 : place + 8 + length]
        place += 8 + length + trailer + (length % 2 if name_first else 0)


def _orientation_in(tiff: bytes) -> int | None:
    """The orientation in the first directory of a TIFF structure; None if it is missing or damaged."""
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
