"""Name archives as such, since people give what they have downloaded."""

from __future__ import annotations

import shlex
from pathlib import Path

from fer_edge.errors import DataError, reason

# The first bytes of each kind, and the command that unpacks it into a folder. Numbers: the formats' specifications.
_KINDS = (
    (b"PK\x03\x04", "unzip -q {file} -d {folder}"),
    (b"\x1f\x8b", "mkdir {folder} && tar -xzf {file} -C {folder}"),
    (b"BZh", "mkdir {folder} && tar -xjf {file} -C {folder}"),
    (b"\xfd7zXZ\0", "mkdir {folder} && tar -xJf {file} -C {folder}"),
    (b"7z\xbc\xaf\x27\x1c", "7z x {file} -o{folder}"),
    (b"Rar!", "unar -o {folder} {file}"),
)
_TAR, _TAR_AT = b"ustar", 257


def refuse_archive(path: Path) -> None:
    """Raise DataError if a file is an archive. The message says how to unpack it."""
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_AT + len(_TAR))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error
    command = next((how for mark, how in _KINDS if head.startswith(mark)), None)
    if command is None and head[_TAR_AT:] == _TAR:
        command = "mkdir {folder} && tar -xf {file} -C {folder}"
    if command is not None:
        folder = Path(str(path).removesuffix("".join(path.suffixes)) or path.stem)
        unpack = command.format(file=shlex.quote(str(path)), folder=shlex.quote(str(folder)))
        raise DataError(f"{path}: is an archive. Unpack it, then give the folder: {unpack}")
