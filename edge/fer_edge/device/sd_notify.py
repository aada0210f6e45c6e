"""Tell systemd that the service is ready, its status, and that it is alive: sd_notify(3).

The watchdog is fed by processed frames, or while a lost camera is waited for; never by a timer.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from fer_edge.sinks import Sink
from fer_edge.types import FrameResult

_log = logging.getLogger(__name__)

# Messages to systemd are at least this many seconds apart.
_INTERVAL = 1.0
# A summary goes to the journal every so many seconds.
_REPORT_INTERVAL = 3600.0


class Notifier(Sink):
    """A sink that tells systemd of frames, the camera, and the problems of the other sinks."""

    description = "systemd"

    def __init__(self, address: str) -> None:
        """Prepare; `address` is the value of NOTIFY_SOCKET."""
        self.source = ""
        # The other sinks.
        self.outputs: Sequence[Sink] = ()
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._remark = ""
        self._frames = 0
        self._reported_frames = 0
        self._told_at = self._reported_at = time.monotonic()
        self._ready = False

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        self._send("STOPPING=1")
        self._socket.close()

    def emit(self, result: FrameResult) -> None:
        """Count a processed frame, and send a message if it is due."""
        self._frames += 1
        now = time.monotonic()
        elapsed = now - self._told_at
        if self._ready and elapsed < _INTERVAL:
            return
        faces = "1 face" if len(result.visible_faces) == 1 else f"{len(result.visible_faces)} faces"
        remark = f"; {self._remark}" if self._remark else ""
        self._tell(f"{self._frames / max(elapsed, 1e-3):.1f} FPS, {faces}, {self.source}{remark}")
        self._reported_frames += self._frames
        self._frames, self._told_at = 0, now
        if now - self._reported_at > _REPORT_INTERVAL:
            hours = (now - self._reported_at) / 3600
            _log.info("%d frames in %.1f hours, now %s, %s", self._reported_frames, hours, faces, self.source)
            self._reported_frames, self._reported_at = 0, now

    def waiting(self, what: str) -> None:
        """Send a message, if it is due, that there is no frame because the camera is lost."""
        now = time.monotonic()
        if self._ready and now - self._told_at < _INTERVAL:
            return
        self._frames, self._told_at = 0, now
        self._tell(f"waiting for {what}")

    def remark(self, what: str) -> None:
        """Add this remark to the status."""
        self._remark = what

    def _tell(self, status: str) -> None:
        troubles = [f"{sink.description}: {sink.trouble}" for sink in self.outputs if sink.trouble]
        notes = [sink.note for sink in self.outputs if sink.note]
        line = " ".join("; ".join([status, *troubles, *notes]).split())
        self._ready = self._send(f"READY=1\nWATCHDOG=1\nSTATUS={line}")

    def _send(self, message: str) -> bool:
        """Send without waiting; if systemd is busy, the next message will do."""
        with suppress(OSError):
            self._socket.sendto(message.encode(), self._address)
            return True
        return False


def open_notifier() -> Notifier | None:
    """Return a notifier if this process runs as a service, else None."""
    address = os.environ.get("NOTIFY_SOCKET")
    return Notifier(address) if address else None
