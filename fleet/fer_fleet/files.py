"""Files that survive a power cut whole, and a lock for the repository."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_edge.errors import ConfigError, reason
from fer_edge.files import replace_file


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that after a crash or a power cut it is the old one or the new one, whole.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, mode)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({reason(error)})") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the only right to change a folder. Raises ConfigError if another process has it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be opened ({reason(error)}). Make it with fer-fleet init") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{folder}: another fer-fleet is changing it. Wait until it is done") from None
        yield
    finally:
        os.close(descriptor)
