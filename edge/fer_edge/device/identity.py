"""What this device is called: its board, and an id that outlives a new host name."""

from __future__ import annotations

import hashlib
import hmac
import platform
import socket
from pathlib import Path

_MACHINE_ID = Path("/etc/machine-id")


def board_name() -> str:
    """The board, as a Raspberry Pi's device tree names it; elsewhere the processor."""
    model = Path("/proc/device-tree/model")
    if model.is_file():
        return model.read_text(errors="replace").strip("\0\n ")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def device_id(part: str = "", machine_id: Path = _MACHINE_ID) -> str:
    """Twelve hexadecimal digits for this machine, or for one part of it.

    The machine's id is confidential, so that it is only the key of a hash (machine-id(5)). Where there is none, the
    host's name stands in.
    """
    try:
        key = machine_id.read_text().strip()
    except OSError:
        key = ""
    return hmac.new((key or socket.gethostname()).encode(), f"fer-edge/{part}".encode(), hashlib.sha256).hexdigest()[
        :12
    ]
