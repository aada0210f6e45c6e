"""The folder of a training that goes on: whose it is, and whether it may be gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fer_edge.errors import ConfigError
from fer_train.files import make_folder, require_new_folder, write_whole

# The folder, in that of the run, with what `resume` needs.
UNFINISHED = "unfinished"

_MARKER = "record.json"


def check(out: Path, resume: bool) -> None:
    """Look whether a new training may have a folder, or whether there is one in it to resume.

    Raises:
        ConfigError: not so.
    """
    if resume:
        if not _marker(out).is_file():
            raise ConfigError(f"{out}: no unfinished training to resume. Leave --resume out")
        return
    try:
        require_new_folder(out)
    except ConfigError as error:
        raise ConfigError(f"{error}, or --resume an unfinished training") from None


def claim(out: Path, record: dict[str, Any]) -> None:
    """Make the folder of a new training. Raises ConfigError where that cannot be."""
    make_folder(_marker(out).parent)
    write_whole(_marker(out), json.dumps(record, indent=2).encode())


def compare(out: Path, record: dict[str, Any]) -> None:
    """Compare an unfinished training with what is asked for now.

    Raises:
        ConfigError: it is another.
    """
    begun = _read(_marker(out))
    for part in ("recipe", "precision", "teachers", "init", "data"):
        if begun.get(part) != record[part]:
            raise ConfigError(
                f"{out}: was begun with another {part.removesuffix('s')}. Resume with the same options and data"
            )


def _marker(out: Path) -> Path:
    return out / UNFINISHED / _MARKER


def _read(marker: Path) -> dict[str, Any]:
    try:
        begun = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{marker}: is damaged. Remove the folder and train anew") from error
    return begun if isinstance(begun, dict) else {}
