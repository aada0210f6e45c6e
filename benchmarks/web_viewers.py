"""Viewers of the live page, for benchmarks/web_load.py: each reads the stream and the events.

    python benchmarks/web_viewers.py PORT COUNT SECONDS

It prints the pictures per second that a viewer got on average.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time

_BOUNDARY = b"--frame\r\n"


def main(port: int, count: int, seconds: float) -> None:
    """Watch."""
    os.nice(19)
    selector = selectors.DefaultSelector()
    for _ in range(count):
        for path in ("/stream.mjpg", "/api/events"):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            selector.register(connection, selectors.EVENT_READ)
    pictures, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(0.5):
            pictures += os.read(key.fd, 1 << 20).count(_BOUNDARY)
    sys.stdout.write(f"{pictures / seconds / max(count, 1):.1f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
