"""Write files atomically, and create folders for them."""

from __future__ import annotations

import shutil
from pathlib import Path

from fer_edge.errors import ConfigError, reason
from fer_edge.files import replace_file


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises ConfigError if that fails."""
    try:
        replace_file(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({reason(error)})") from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents. Raises ConfigError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be created ({reason(error)})") from error


def require_room(folder: Path, size: int) -> None:
    """Raise ConfigError unless the disk of a folder has room for `size` bytes plus 10 % and 1 MB."""
    wanted, free = 1.1 * size + 1e6, shutil.disk_usage(folder).free
    if free < wanted:
        raise ConfigError(f"{folder}: {wanted / 1e6:.0f} MB are needed, but only {free / 1e6:.0f} are free")


def require_new_folder(path: Path) -> None:
    """Raise ConfigError if a path exists, unless it is an empty folder."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ConfigError(f"{path}: is not an empty folder. Choose another")
