"""Identifies this device: the name of its board, and an id that does not depend on the host name."""

from __future__ import annotations

import hashlib
import hmac
import platform
import socket
from pathlib import Path

from fer_edge.config import RunConfig

_MACHINE_ID = Path("/etc/machine-id")


def board_name() -> str:
    """Return the board's name from a Raspberry Pi's device tree; on other machines it is the processor."""
    model = Path("/proc/device-tree/model")
    if model.is_file():
        return model.read_text(errors="replace").strip("\0\n ")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def device_id(part: str = "", machine_id: Path = _MACHINE_ID) -> str:
    """Return twelve hexadecimal digits that identify this machine, or one part of it.

    The machine id is confidential, so it is only used as the key of a hash (machine-id(5)). A machine without an id
    uses the host name.
    """
    try:
        key = machine_id.read_text().strip()
    except OSError:
        key = ""
    return hmac.new((key or socket.gethostname()).encode(), f"fer-edge/{part}".encode(), hashlib.sha256).hexdigest()[
        :12
    ]


def fleet_id(config: RunConfig) -> str:
    """Return the name of this device in its fleet, on which its place in rollouts depends."""
    return config.fleet.id or config.mqtt.username or device_id()
