"""Where downloaded and installed models are kept."""

from __future__ import annotations

import os
from pathlib import Path

# The service has its own folder, since its user has no home.
SERVICE_DATA = Path("/var/lib/fer-edge")
# Names the instance of the service that a process is; systemd/fer-edge@.service sets it.
INSTANCE_VARIABLE = "FER_EDGE_INSTANCE"


def user_data() -> Path:
    """The user's folder, which follows the XDG Base Directory Specification."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path("~/.local/share").expanduser()) / "fer-edge"
