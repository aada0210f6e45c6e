"""Write files whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fer_edge.errors import ConfigError, reason


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by name into a folder, which is made if need be; older ones of the same names are replaced.

    All are written aside first, so that a full disk leaves the older ones as they were.

    Raises:
        ConfigError: they cannot be written.
    """
    asides = {folder / f".{name}.part": folder / name for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for aside, content in zip(asides, contents.values(), strict=True):
            aside.write_bytes(content)
        for aside, path in asides.items():
            aside.replace(path)
    except OSError as error:
        for aside in asides:
            with suppress(OSError):
                aside.unlink()
        raise ConfigError(f"{folder}: cannot be written ({reason(error)})") from error
