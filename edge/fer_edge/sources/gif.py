"""Read the structure of GIF files (GIF89a specification, 1990): whether they are cut, and pictures without a delay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MARKS = (b"GIF87a", b"GIF89a")
_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B
_DELAY = 0xF9
# FFmpeg 8 takes a picture without this block for a part of the one before. Browsers show it for 0.1 s.
_TENTH_OF_A_SECOND = b"\x21\xf9\x04\0\x0a\0\0\0"
# Larger files are not looked into.
LARGEST = 256 * 2**20


def read_gif(path: Path) -> bytes | None:
    """Return the content of a GIF file; None for any other file, and for one that is too large. Raises OSError."""
    if not path.is_file() or path.stat().st_size > LARGEST:
        return None
    with path.open("rb") as file:
        head = file.read(6)
        return head + file.read() if head in MARKS else None


def is_cut(content: bytes) -> bool:
    """Whether a GIF file ends within a picture or another block. The mark of its end is missing in many files."""
    ends = [end for _, _, end in _blocks(content)]
    return not ends or ends[-1] > len(content)


def with_delays(content: bytes) -> bytes:
    """Return a GIF file in which each picture has a delay."""
    parts, copied, has_delay = [], 0, False
    for kind, start, _ in _blocks(content):
        if kind == _PICTURE:
            if not has_delay:
                parts += [content[copied:start], _TENTH_OF_A_SECOND]
                copied = start
            has_delay = False
        has_delay |= kind == _EXTENSION and content[start + 1 : start + 2] == bytes((_DELAY,))
    return b"".join((*parts, content[copied:]))


def _blocks(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of each block up to the trailer. The last one may end beyond the content."""
    place = 13 + _colours(content[10:11])
    while place < len(content):
        kind, start = content[place], place
        if kind == _PICTURE:
            place += 11 + _colours(content[start + 9 : start + 10])
        elif kind == _EXTENSION:
            place += 2
        else:
            yield kind, start, start + 1
            return
        while place < len(content) and content[place]:
            place += 1 + content[place]
        place += 1
        yield kind, start, place


def _colours(flags: bytes) -> int:
    """Bytes of the table of colours that follows these flags."""
    flag = flags[0] if flags else 0
    return 3 * 2 ** ((flag & 7) + 1) if flag & 0x80 else 0
