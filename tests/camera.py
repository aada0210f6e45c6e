"""The network camera as tests use it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class LoopbackCamera:
    """A process that serves MJPEG; see camera_server.py."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._options = options
        self.plug()

    def url(self, picture: str = "demo") -> str:
        return f"http://127.0.0.1:{self.port}/{picture}"

    def plug(self) -> None:
        server = Path(__file__).with_name("camera_server.py")
        self._process = subprocess.Popen([sys.executable, server, str(self.port), *self._options], env=os.environ)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the camera server does not listen")

    def unplug(self) -> None:
        self._process.kill()
        self._process.wait()

    def turn_away(self, connections: int) -> None:
        """While it is unplugged: wait for so many, one after the other, and end each at once."""
        with socket.create_server(("127.0.0.1", self.port)) as door:
            door.settimeout(90)
            for _ in range(connections):
                door.accept()[0].close()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)
