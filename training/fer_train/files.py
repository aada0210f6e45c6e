"""Files that are written whole or not at all, and folders for them."""

from __future__ import annotations

import shutil
from pathlib import Path

from fer_edge.errors import ConfigError, reason


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, then move it into place. Raises ConfigError where that cannot be done."""
    aside = path.with_name(path.name + ".part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written ({reason(error)})") from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises ConfigError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made ({reason(error)})") from error


def require_room(folder: Path, size: int) -> None:
    """Raise ConfigError unless so many bytes, and a megabyte and a tenth more, fit on a folder's disk."""
    wanted, free = 1.1 * size + 1e6, shutil.disk_usage(folder).free
    if free < wanted:
        raise ConfigError(f"{folder}: {wanted / 1e6:.0f} MB are needed, but only {free / 1e6:.0f} are free")


def require_new_folder(path: Path) -> None:
    """Raise ConfigError unless there is no such file or folder yet, or an empty folder."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ConfigError(f"{path}: is not an empty folder. Choose another")
