"""What the last update found: a file beside the models, for those who show it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_edge.files import replace_file
from fer_edge.model.owner import acting_as_owner
from fer_edge.model.slots import Slots

_FILE = "latest.json"


@dataclass(frozen=True, slots=True)
class Latest:
    """What an update found.

    Attributes:
        name: the model.
        installed: the version that is in use.
        latest: the version that is meant for this device; the same if there is nothing newer.
        reason: one sentence for people.
        checked_at: seconds since 1970, by the device's clock.
    """

    name: str
    installed: str
    latest: str
    reason: str
    checked_at: float


def write_latest(found: Latest, folder: Path) -> None:
    """Write it to the folder of models. That it cannot be written is no reason to fail."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    with suppress(OSError), acting_as_owner(folder):
        replace_file(folder / _FILE, json.dumps(asdict(found)).encode(), 0o644)


def read_latest(folder: Path | None = None) -> Latest | None:
    """Read it; None if there was no update, or it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        return Latest(**json.loads(((folder or Slots().folder) / _FILE).read_text()))
    return None
