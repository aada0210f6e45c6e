"""Read a bundle's files from a tar archive that may be made to do harm.

Only the three files that a device needs are written, under names from here. Everything else in the archive is read at
most, and the whole archive is refused at the first entry that no honest one has.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from fer_edge.errors import ModelError, reason
from fer_edge.model.bundle import MODEL_FILE
from fer_edge.model.golden import GOLDEN_FILE
from fer_edge.model.manifest import MANIFEST_FILE

_MB = 1_000_000
# The files of a bundle that a device needs, and the most bytes each may have.
DEVICE_FILES = {MANIFEST_FILE: 1 * _MB, MODEL_FILE: 32 * _MB, GOLDEN_FILE: 4 * _MB}
# A bundle also has a float model and pictures.
_MOST_ENTRIES, _MOST_BYTES = 64, 64 * _MB
_GZIP = b"\x1f\x8b"
_KINDS = {tarfile.SYMTYPE: "a link", tarfile.LNKTYPE: "a link", tarfile.FIFOTYPE: "a pipe"}


def unpack_bundle(archive: Path, folder: Path) -> None:
    """Write the bundle's files from a .tar or .tar.gz archive into a folder.

    Args:
        archive: the files at its top, or in one folder.
        folder: an empty folder.

    Raises:
        ModelError: it is no archive, lacks a file, is too large, or has an entry that leads out of the folder or is no
            plain file.
        OSError: the folder cannot be written.
    """
    found: set[PurePosixPath] = set()
    with _entries(archive) as entries:
        for number, (entry, content) in enumerate(entries, 1):
            _refuse_harmful(archive, entry, number)
            path = PurePosixPath(entry.name)
            if content is None or path.name not in DEVICE_FILES or len(path.parts) > 2:
                continue
            if path in found:
                raise ModelError(f"{archive}: holds {path} twice. Make the archive again")
            found.add(path)
            _copy(archive, entry, content, folder / path.name)
    if len({path.parent for path in found}) > 1:
        raise ModelError(f"{archive}: holds more than one bundle. Make an archive per bundle")
    missing = [name for name in DEVICE_FILES if name not in {path.name for path in found}]
    if missing:
        raise ModelError(f"{archive}: has no {missing[0]}. A bundle holds {', '.join(DEVICE_FILES)}")


def copy_bundle(source: Path, folder: Path) -> None:
    """Copy the bundle's files from a folder into another. Raises ModelError and OSError as `unpack_bundle` does."""
    for name, most in DEVICE_FILES.items():
        try:
            with (source / name).open("rb") as file:
                content = file.read(most + 1)
        except FileNotFoundError:
            raise ModelError(f"{source / name}: missing. A bundle holds {', '.join(DEVICE_FILES)}") from None
        except OSError as error:
            raise ModelError(f"{source / name}: cannot be read ({reason(error)})") from error
        if len(content) > most:
            raise ModelError(f"{source / name}: is larger than {most // _MB} MB")
        (folder / name).write_bytes(content)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Limited(io.RawIOBase):
    """The bytes of a file, up to a limit. They may be compressed, so the file's own size says nothing."""

    def __init__(self, file: _Readable, limit: int) -> None:
        super().__init__()
        self._file = file
        self._left = limit

    def read(self, size: int = -1, /) -> bytes:
        """Read; raises ModelError beyond the limit."""
        wanted = self._left + 1 if size < 0 else min(size, self._left + 1)
        content = self._file.read(wanted)
        self._left -= len(content)
        if self._left < 0:
            raise ModelError(f"is larger than {_MOST_BYTES // _MB} MB")
        return content


@contextmanager
def _entries(archive: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]]:
    try:
        with archive.open("rb") as file:
            plain = file.read(2) != _GZIP
            file.seek(0)
            with file if plain else gzip.open(file) as content:
                limited = _Limited(content, _MOST_BYTES)
                with tarfile.open(fileobj=limited, mode="r|") as tar:
                    yield ((entry, tar.extractfile(entry) if entry.isreg() else None) for entry in tar)
    except ModelError as error:
        raise ModelError(str(error) if str(archive) in str(error) else f"{archive}: {error}") from error
    except RecursionError:  # tarfile reads each long name within the one before
        raise ModelError(f"{archive}: holds long names without end. Nothing was installed") from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ModelError(f"{archive}: is no whole .tar or .tar.gz archive ({error})") from error
    except FileNotFoundError:
        raise ModelError(f"{archive}: there is no such file") from None


def _refuse_harmful(archive: Path, entry: tarfile.TarInfo, number: int) -> None:
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts:
        raise ModelError(f"{archive}: {entry.name!r} leads out of the bundle's folder. Nothing was installed")
    if not (entry.isreg() or entry.isdir()):
        kind = _KINDS.get(entry.type, "a device")
        raise ModelError(f"{archive}: {entry.name!r} is {kind}, not a file. Nothing was installed")
    if number > _MOST_ENTRIES:
        raise ModelError(f"{archive}: holds more than {_MOST_ENTRIES} files. Nothing was installed")
    most = DEVICE_FILES.get(path.name, _MOST_BYTES)
    if entry.size > most:
        raise ModelError(f"{archive}: {entry.name!r} is larger than {most // _MB} MB. Nothing was installed")


def _copy(archive: Path, entry: tarfile.TarInfo, content: IO[bytes], target: Path) -> None:
    read = content.read()
    if len(read) != entry.size:
        raise ModelError(f"{archive}: ends in the middle of {entry.name}. Copy it again")
    target.write_bytes(read)
