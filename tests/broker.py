"""A real MQTT broker on loopback, and somebody who listens to it."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Broker:
    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder = folder
        self._config = folder / "mosquitto.conf"
        self.configure("allow_anonymous true")

    def configure(self, *lines: str) -> None:
        """Settings from the next start on; as root, since the files of a test are nobody else's."""
        text = "\n".join(["user root", f"listener {self.port} 127.0.0.1", *lines])
        self._config.write_text(f"{text}\n")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Attempts:
    """Counts the connections that a Python program begins, by a hook in its interpreter."""

    _HOOK = """
import os
import sys

def note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        with open(os.environ["ATTEMPTS"], "a") as file:
            file.write(".")

sys.addaudithook(note)
"""

    def __init__(self, folder: Path) -> None:
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(self._HOOK)
        self._file = folder / "attempts"
        self._file.touch()
        self.environment = {"PYTHONPATH": str(folder / "hook"), "ATTEMPTS": str(self._file)}

    def count(self) -> int:
        return self._file.stat().st_size


class Listener:
    """Hears everything that is said on the broker from now on, and what was retained."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic, bytes(message.payload))
        )
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("#", qos=1)
        self._client.loop_start()

    def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def on(self, topic: str) -> list[bytes]:
        """What was said on the topics that end so."""
        return [payload for heard, payload in list(self.heard) if heard.endswith(topic)]

    def latest(self, topic: str) -> Any:
        """The newest JSON on a topic; None before there is any."""
        said = self.on(topic)
        return json.loads(said[-1]) if said and said[-1] else None

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
