"""Asks the updater to look for a new model now.

Recognition may neither write the models nor, by default, reach the network. It only writes a file, which systemd's path
unit of the updater watches (systemd/fer-edge-update.path). What the updater then does is its own decision.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from fer_edge.errors import FerError, reason
from fer_edge.updates.latest import read_latest

# Names the file; the service's units set it.
REQUEST_VARIABLE = "FER_EDGE_UPDATE_REQUEST"
# Two requests are at least so many seconds apart.
_PAUSE_S = 60.0
# After so many seconds a request that the updater has not answered is forgotten.
_FORGOTTEN_S = 900.0


def request_update() -> None:
    """Ask for a look, unless somebody just did.

    Raises:
        FerError: there is no updater that could be asked.
    """
    path = _path()
    if path is None:
        raise FerError("only the service can start an update. Elsewhere: fer-edge models update")
    age = _age(path)
    if age is not None and 0 <= age < _PAUSE_S:
        return
    try:
        path.write_text(f"{time.time():.0f}\n")
    except OSError as error:
        fix = "Install it: sudo systemd/install.sh --root root.json"
        raise FerError(f"{path}: the updater cannot be asked ({reason(error)}). {fix}") from error


def is_requested() -> bool:
    """Whether a request waits for the end of a look."""
    path = _path()
    age = _age(path) if path else None
    if age is None or not 0 <= age < _FORGOTTEN_S:
        return False
    latest = read_latest()
    return latest is None or time.time() - latest.checked_at > age


def _path() -> Path | None:
    named = os.environ.get(REQUEST_VARIABLE)
    return Path(named) if named else None


def _age(path: Path) -> float | None:
    """Seconds since the last request; None if there was none."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return None
