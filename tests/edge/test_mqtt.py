"""Against a real broker on loopback."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from tests.camera import LoopbackCamera
from tests.conftest import Run, wait_until

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))


class Broker:
    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", self._config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
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


class Listener:
    """Everything the broker says about fer-edge."""

    def __init__(self, port: int) -> None:
        self.said: list[tuple[str, str]] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, message: self.said.append(
            (message.topic, message.payload.decode())
        )
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("fer-edge/#", qos=1)
        self._client.loop_start()

    def wait_for(self, topic: str, payload: str = "", count: int = 1) -> list[str]:
        for _ in range(200):
            heard = [said for said_topic, said in list(self.said) if said_topic == topic and payload in said]
            if len(heard) >= count:
                return heard
            time.sleep(0.1)
        raise AssertionError(f"{count} x {topic} {payload} not in {self.said}")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if not shutil.which("mosquitto") and not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("mosquitto is not installed")
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def config(broker: Broker, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'source = "demo"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ntopic = "fer-edge"\n')
    return path


def test_changes_are_published_and_the_end_is_announced(broker: Broker, config: Path) -> None:
    listener = Listener(broker.port)
    process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.DEVNULL)
    listener.wait_for("fer-edge/availability", "online")
    record = json.loads(listener.wait_for("fer-edge/faces", "happy")[0])
    assert record["faces"][0]["label"] == "happy"
    listener.wait_for("fer-edge/faces", "neutral")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    listener.wait_for("fer-edge/availability", "offline")
    assert len([topic for topic, _ in listener.said if topic == "fer-edge/faces"]) < 10, "only changes are published"


def test_a_camera_that_goes_is_told_once_with_nobody_seen_and_so_is_its_return(
    broker: Broker, config: Path, camera: LoopbackCamera
) -> None:
    listener = Listener(broker.port)
    command = [FER_EDGE, "run", "--config", str(config), "--source", camera.url()]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    listener.wait_for("fer-edge/faces", "happy")
    camera.unplug()
    listener.wait_for("fer-edge/camera", "offline")
    assert json.loads(listener.wait_for("fer-edge/faces", "offline")[0])["faces"] == []
    assert Listener(broker.port).wait_for("fer-edge/camera") == ["offline"], "it is retained"
    time.sleep(1)
    camera.plug()
    listener.wait_for("fer-edge/camera", "online", count=2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    listener.wait_for("fer-edge/availability", "offline")
    states = [state for topic, state in listener.said if topic == "fer-edge/camera"]
    assert states == ["online", "offline", "online"]
    assert "frame" in json.loads([said for topic, said in listener.said if topic == "fer-edge/faces"][-1])


def test_a_dead_program_is_announced_by_the_broker(broker: Broker, config: Path) -> None:
    listener = Listener(broker.port)
    process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.DEVNULL)
    listener.wait_for("fer-edge/availability", "online")
    process.kill()
    process.wait()
    listener.wait_for("fer-edge/availability", "offline")


def test_a_broker_that_returns_is_told_the_latest(broker: Broker, config: Path) -> None:
    process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.PIPE, text=True)
    Listener(broker.port).wait_for("fer-edge/faces", "happy")
    broker.stop()
    broker.start()
    listener = Listener(broker.port)
    listener.wait_for("fer-edge/availability", "online")
    listener.wait_for("fer-edge/faces", "label")
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert errors.count("is lost, connecting again") == 1


def test_a_broker_that_comes_late_is_missed_once_and_told_the_latest(
    broker: Broker, config: Path, tmp_path: Path
) -> None:
    errors = tmp_path / "errors"
    broker.stop()
    with errors.open("w") as stderr:
        process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=stderr)
    wait_until(lambda: "cannot be reached" in errors.read_text())
    time.sleep(4)  # in which it tries more than once
    broker.start()
    Listener(broker.port).wait_for("fer-edge/faces", "label")
    process.terminate()
    assert process.wait(20) == 0
    assert errors.read_text().count("cannot be reached: retrying") == 1
    assert errors.read_text().count("MQTT broker 127.0.0.1 is there") == 1


def test_without_a_broker_recognition_goes_on(command: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    config = tmp_path / "config.toml"
    config.write_text('source = "demo"\n[mqtt]\nhost = "127.0.0.1"\nport = 9\n')
    done = command("fer-edge", "run", "--config", config, "--max-frames", 30, "--json", out)
    assert done.returncode == 0, done.stderr
    assert len(out.read_text().splitlines()) == 30
