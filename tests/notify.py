"""What a service tells systemd."""

import socket
from pathlib import Path


class Notifications:
    """A socket in the place of systemd's."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def hears(self, text: str) -> bool:
        """Whether a message with this text has come."""
        return self.count(text) > 0

    def count(self, text: str) -> int:
        """How many messages with this text have come."""
        try:
            while True:
                self.heard.append(self._socket.recv(4096).decode() + "\n")
        except BlockingIOError:
            return sum(text in message for message in self.heard)
