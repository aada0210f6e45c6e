"""Check the output folder of a training: whether it is free, or holds a training that can be resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fer_edge.errors import ConfigError
from fer_train.files import make_folder, require_new_folder, write_whole

# This folder inside the output folder holds what `--resume` needs.
UNFINISHED = "unfinished"

_MARKER = "record.json"


def check(out: Path, resume: bool) -> None:
    """Check that a folder is free for a new training, or holds an unfinished one to resume.

    Raises:
        ConfigError: it does not.
    """
    if resume:
        if not _marker(out).is_file():
            raise ConfigError(f"{out}: no unfinished training to resume. Remove --resume")
        return
    try:
        require_new_folder(out)
    except ConfigError as error:
        raise ConfigError(f"{error}, or --resume an unfinished training") from None


def claim(out: Path, record: dict[str, Any]) -> None:
    """Create the folder of a new training. Raises ConfigError if that fails."""
    make_folder(_marker(out).parent)
    write_whole(_marker(out), json.dumps(record, indent=2).encode())


def compare(out: Path, record: dict[str, Any]) -> None:
    """Compare an unfinished training with the one that is to continue it.

    Raises:
        ConfigError: they differ.
    """
    started = _read(_marker(out))
    for part in ("recipe", "precision", "teachers", "init", "data"):
        if started.get(part) != record[part]:
            raise ConfigError(
                f"{out}: was started with another {part.removesuffix('s')}. Resume with the same options and data"
            )


def _marker(out: Path) -> Path:
    return out / UNFINISHED / _MARKER


def _read(marker: Path) -> dict[str, Any]:
    try:
        started = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{marker}: is damaged. Remove the folder and train again") from error
    return started if isinstance(started, dict) else {}
