"""A file of complete lines, also after a crash, a full disk or a removed folder."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from fer_edge.config import JsonLinesConfig

# Every line begins with this.
_BEGINNING = b'{"time":'
# The end of the last complete line is searched in blocks of this many bytes.
_BLOCK = 1 << 16


class RotatingFile:
    """Writes lines; a log (`append`) is rotated when it is large or old enough.

    Each line is one write. An incomplete line after a crash is removed when the file is opened again. A file that was
    moved or removed is created again. A replaced file keeps its content until there is a first line.
    """

    def __init__(self, path: Path, config: JsonLinesConfig) -> None:
        # The last line of the file when it was opened for appending.
        self.last_line = b""
        self._path = path
        self._config = config
        self._descriptor = -1
        self._replaces = not config.append
        self._unsynced = False
        self._synced_at = 0.0

    def open(self) -> None:
        """Open it. Raises OSError, also if the file to append to is no log."""
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        status = os.fstat(self._descriptor)
        self._regular = stat.S_ISREG(status.st_mode)
        self._identity = (status.st_dev, status.st_ino)
        self._synced_at = time.monotonic()
        if self._regular:
            self._begun_at = time.time()
        if self._regular and status.st_size and not self._replaces:
            try:
                self._take_up()
            except OSError:
                self._let_go()
                raise

    def close(self) -> None:
        """Close it, with all lines forced to the disk if `sync_s` is set."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            if self._regular and self._config.sync_s is not None:
                os.fsync(self._descriptor)
        self._let_go()

    def write(self, line: bytes) -> None:
        """Write one line with its line end, completely or not at all. Raises OSError."""
        size = self._find() if self._regular else 0
        if self._replaces and size:
            os.ftruncate(self._descriptor, 0)
            size = 0
        self._replaces = False
        if self._config.append and size and self._is_full(size + len(line)):
            self._rotate()
            size = 0
        write_whole(self._descriptor, line)
        self._unsynced = True
        self.sync()

    def sync(self) -> None:
        """Force lines to the disk if that is due. Call it also when no line is written. Raises OSError."""
        if self._config.sync_s is None or not self._unsynced or not self._regular:
            return
        now = time.monotonic()
        if now - self._synced_at >= self._config.sync_s:
            os.fsync(self._descriptor)
            self._synced_at = now
            self._unsynced = False

    def _let_go(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        self._unsynced = False

    def _find(self) -> int:
        """Return the size of the file; create it again if it is no longer ours."""
        if self._descriptor >= 0:
            with suppress(FileNotFoundError):
                status = os.stat(self._path)  # noqa: PTH116 - once a line
                if (status.st_dev, status.st_ino) == self._identity:
                    return status.st_size
            self.close()
            self._replaces = False  # the file there now is not the one to replace
        self.open()
        return os.fstat(self._descriptor).st_size

    def _is_full(self, size: int) -> bool:
        age = abs(time.time() - self._begun_at)  # the clock may have been put back
        return size > self._config.max_mb * 1e6 or age > self._config.max_hours * 3600

    def _rotate(self) -> None:
        """Rename FILE.1 to FILE.2 and so on, then FILE to FILE.1; the oldest is deleted."""
        for number in range(self._config.keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self.close()
        self.open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _take_up(self) -> None:
        """Remove an incomplete last line, and read the log's age from its first line."""
        with self._path.open("rb") as file:
            with suppress(ValueError, LookupError, TypeError):
                self._begun_at = datetime.fromisoformat(json.loads(file.readline(_BLOCK))["time"]).timestamp()
            end = _end_of_last_line(file)
            file.seek(end)
            torn = file.read(_BLOCK)
            file.seek(max(end - _BLOCK, 0))
            self.last_line = file.read(end - file.tell()).removesuffix(b"\n").rpartition(b"\n")[2]
        if not torn:
            return
        if not torn.startswith((_BEGINNING[: len(torn)], b"\0")):
            raise OSError(errno.EINVAL, "its last line has no end and is not ours: it is no log of this program")
        os.ftruncate(self._descriptor, end)


def write_whole(descriptor: int, line: bytes) -> None:
    """Write a line; to a regular file completely or not at all. Raises OSError."""
    status = os.fstat(descriptor)
    regular = stat.S_ISREG(status.st_mode)
    place = os.lseek(descriptor, 0, os.SEEK_CUR) if regular else 0
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        if regular:
            os.ftruncate(descriptor, status.st_size)
            os.lseek(descriptor, place, os.SEEK_SET)
        raise


def _end_of_last_line(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(end - _BLOCK, 0)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
