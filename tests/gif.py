"""GIF files for tests."""

import struct
from pathlib import Path


def write_gif(path: Path, delays: tuple[int | None, ...], *, end: bytes = b";") -> None:
    """A GIF of one grey pixel per picture, as the specification's appendix F encodes it; None: without a delay."""
    content = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes((0, 0, 0, 128, 128, 128))
    for delay in delays:
        if delay is not None:
            content += b"\x21\xf9\x04\0" + struct.pack("<H", delay) + b"\0\0"
        content += b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0"
    path.write_bytes(content + end)
