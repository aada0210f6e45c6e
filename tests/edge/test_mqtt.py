"""Against a real broker on loopback."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from tests.broker import Attempts, Broker
from tests.camera import LoopbackCamera
from tests.conftest import Run, wait_until

from fer_edge.config import MqttConfig
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))


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
        def heard() -> list[str]:
            return [said for said_topic, said in list(self.said) if said_topic == topic and payload in said]

        wait_until(lambda: len(heard()) >= count)
        return heard()


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


def test_a_lost_camera_and_its_return_are_published_once_without_faces(
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
    camera.turn_away(2)
    camera.plug()
    listener.wait_for("fer-edge/camera", "online", count=2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    listener.wait_for("fer-edge/availability", "offline")
    states = [state for topic, state in listener.said if topic == "fer-edge/camera"]
    assert [state for state, _ in groupby(states)][-4:] == ["online", "offline", "online", ""]
    faces = [said for topic, said in listener.said if topic == "fer-edge/faces"]
    assert faces[-1] == ""
    assert "frame" in json.loads(faces[-2])


def test_a_dead_program_is_announced_by_the_broker(broker: Broker, config: Path) -> None:
    listener = Listener(broker.port)
    process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.DEVNULL)
    listener.wait_for("fer-edge/availability", "online")
    process.kill()
    process.wait()
    listener.wait_for("fer-edge/availability", "offline")
    late = Listener(broker.port)
    assert late.wait_for("fer-edge/availability") == ["offline"], "it is retained for who asks later"


def test_a_broker_that_returns_gets_the_latest_values(broker: Broker, config: Path) -> None:
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
    assert errors.count("is lost: retrying") == 1


def test_a_broker_that_starts_late_gets_the_latest_values(broker: Broker, config: Path, tmp_path: Path) -> None:
    errors, attempts = tmp_path / "errors", Attempts(tmp_path)
    broker.stop()
    with errors.open("w") as stderr:
        environment = {**os.environ, **attempts.environment}
        process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=stderr, env=environment)
    wait_until(lambda: attempts.count() >= 3)
    broker.start()
    Listener(broker.port).wait_for("fer-edge/faces", "label")
    process.terminate()
    assert process.wait(20) == 0
    assert errors.read_text().count("cannot be reached: refused") == 1
    assert errors.read_text().count("MQTT broker 127.0.0.1 is there") == 1


def test_recognition_continues_without_a_broker(command: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    config = tmp_path / "config.toml"
    config.write_text('source = "demo"\n[mqtt]\nhost = "127.0.0.1"\nport = 9\n')
    done = command("fer-edge", "run", "--config", config, "--max-frames", 30, "--json", out)
    assert done.returncode == 0, done.stderr
    assert len(out.read_text().splitlines()) == 30


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, a certificate of it for 127.0.0.1 (the broker's) and one for a client, by OpenSSL."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl: sudo apt install openssl")
    folder = tmp_path / "certificates"
    folder.mkdir()

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name, extra in (("broker", ("-extfile", "names")), ("client", ())):
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", *extra),
        )
    return folder


class Running:
    """`fer-edge run` on the demo, and what it says."""

    def __init__(self, folder: Path, *mqtt: str, environment: dict[str, str] | None = None) -> None:
        self._config = folder / f"{len(list(folder.iterdir()))}.toml"
        self._config.write_text("\n".join(['source = "demo"', "[mqtt]", *mqtt]))
        self._errors = self._config.with_suffix(".log")
        with self._errors.open("w") as stderr:
            command = [FER_EDGE, "run", "--config", str(self._config)]
            self.process = subprocess.Popen(command, stderr=stderr, env={**os.environ, **(environment or {})})

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.said() or self.process.poll() is not None)
        assert text in self.said()

    def said(self) -> str:
        return self._errors.read_text()

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0, self.said()


def test_a_login_needs_a_password_which_may_come_from_a_file_or_systemd(broker: Broker, tmp_path: Path) -> None:
    broker.stop()
    subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "users", "fer", "s3cret "], check=True)
    broker.configure("allow_anonymous false", f"password_file {tmp_path / 'users'}")
    broker.start()
    where = f'host = "127.0.0.1:{broker.port}"'
    attempts = Attempts(tmp_path)
    for wrong in ((), ('username = "fer"', 'password = "other"')):
        before = attempts.count()
        stranger = Running(tmp_path, where, *wrong, environment=attempts.environment)
        stranger.wait_for("not authorised, check mqtt.username and its password")
        wait_until(lambda: attempts.count() >= before + 3)  # noqa: B023 - it is called here
        stranger.end()
        assert stranger.said().count("MQTT broker") == 1
        assert stranger.said().count(": retrying") == 1
        assert "is lost" not in stranger.said()
    (tmp_path / "mqtt-password").write_bytes(b"\xef\xbb\xbfs3cret \r\n")  # as editors on Windows save it
    friend = Running(tmp_path, where, 'username = "fer"', f'password_file = "{tmp_path / "mqtt-password"}"')
    wait_until(lambda: retained(broker, "s3cret ") == "online")
    friend.end()
    assert retained(broker, "s3cret ") == "offline"
    service = Running(tmp_path, where, 'username = "fer"', environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    wait_until(lambda: retained(broker, "s3cret ") == "online")
    service.end()
    assert "MQTT" not in friend.said() + service.said()


def retained(broker: Broker, password: str) -> str:
    """What the broker keeps as the availability of this machine, read over a connection of its own."""
    client, heard = Client(CallbackAPIVersion.VERSION2), list[str]()
    client.username_pw_set("fer", password)
    client.on_message = lambda _client, _data, message: heard.append(message.payload.decode())
    client.connect("127.0.0.1", broker.port)
    client.subscribe("fer-edge/+/availability", qos=1)
    client.loop_start()
    with suppress(AssertionError):
        wait_until(lambda: bool(heard), 3)
    client.disconnect()
    client.loop_stop()
    return heard[-1] if heard else ""


def test_only_the_authoritys_certificate_is_trusted_and_the_broker_may_ask_for_one(
    broker: Broker, tmp_path: Path, certificates: Path
) -> None:
    broker.stop()
    broker.configure(
        "allow_anonymous true",
        f"cafile {certificates / 'ca.pem'}",
        f"certfile {certificates / 'broker.pem'}",
        f"keyfile {certificates / 'broker.key'}",
        "require_certificate true",
        "use_identity_as_username true",
    )
    broker.start()
    ca, own = f'cafile = "{certificates / "ca.pem"}"', f'certificate = "{certificates / "client.pem"}"'
    host, key = f'host = "127.0.0.1:{broker.port}"', f'key = "{certificates / "client.key"}"'
    other_name = f'host = "localhost:{broker.port}"'
    for settings, reason in (
        ((host,), "ends the connection at once, it is no broker or wants TLS (mqtt.tls)"),
        ((host, "tls = true"), "its certificate is not trusted (self-signed"),
        ((other_name, ca), "ask for it by the name in its certificate"),
        ((host, ca), "wants a client certificate (mqtt.certificate)"),
    ):
        refused = Running(tmp_path, *settings)
        refused.wait_for(reason)
        refused.end()
        assert refused.said().count("MQTT broker") == 1, refused.said()
    friend = Running(tmp_path, host, ca, own, key)
    client, heard = Client(CallbackAPIVersion.VERSION2), list[str]()
    ca_file, pem, key_file = (str(certificates / name) for name in ("ca.pem", "client.pem", "client.key"))
    client.tls_set(ca_file, pem, key_file)
    client.on_message = lambda _client, _data, message: heard.append(message.payload.decode())
    client.connect("127.0.0.1", broker.port)
    client.subscribe("fer-edge/+/availability", qos=1)
    client.loop_start()
    wait_until(lambda: "online" in heard)
    friend.end()
    wait_until(lambda: heard[-1] == "offline")
    client.disconnect()
    client.loop_stop()
    assert "MQTT" not in friend.said()


def test_an_unknown_and_a_refusing_broker_have_different_messages(tmp_path: Path, broker: Broker) -> None:
    nowhere = Running(tmp_path, 'host = "no-such-host.invalid"')
    nowhere.wait_for("MQTT broker no-such-host.invalid: cannot be reached: unknown host")
    broker.stop()
    attempts = Attempts(tmp_path)
    silent = Running(tmp_path, f'host = "mqtt://127.0.0.1:{broker.port}"', environment=attempts.environment)
    silent.wait_for(f"cannot be reached: refused, nothing listens on port {broker.port}: retrying")
    wait_until(lambda: attempts.count() >= 3)
    broker.start()
    silent.wait_for("MQTT broker 127.0.0.1 is there")
    for process in (nowhere, silent):
        process.end()
        assert process.said().count("cannot be reached") == 1


def test_a_broker_that_speaks_no_tls_is_told(tmp_path: Path, broker: Broker) -> None:
    plain = Running(tmp_path, f'host = "mqtts://127.0.0.1:{broker.port}"')
    plain.wait_for("cannot be reached: no TLS")
    plain.wait_for("check mqtt.port and mqtt.tls: retrying")
    plain.end()


@pytest.mark.slow  # a broker may be silent for 20 seconds
def test_what_accepts_a_connection_and_says_nothing_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        silent = Running(tmp_path, f'host = "127.0.0.1:{port}"')
        wait_until(lambda: "retrying" in silent.said(), 120)
        assert f"MQTT broker 127.0.0.1: does not answer on port {port}, is it a broker?: retrying" in silent.said()
        silent.end()


@pytest.mark.parametrize("key", ["cafile", "password_file"])
def test_a_file_that_cannot_be_used_is_one_line(command: Run, tmp_path: Path, key: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'source = "demo"\n[mqtt]\nhost = "127.0.0.1"\nusername = "fer"\n{key} = "/nonexistent/file"\n')
    done = command("fer-edge", "run", "--config", config)
    assert done.returncode == 2
    assert f"mqtt.{key} /nonexistent/file: cannot be" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_two_that_publish_under_one_topic_notice_each_other_and_the_one_that_stays_is_online(
    broker: Broker, tmp_path: Path
) -> None:
    settings = (f'host = "127.0.0.1:{broker.port}"', 'topic = "fer-edge"')
    first = Running(tmp_path, *settings)
    listener = Listener(broker.port)
    listener.wait_for("fer-edge/faces", "label")
    second = Running(tmp_path, *settings)
    first.wait_for(f"process {second.process.pid} on '{socket.gethostname()}' publishes under fer-edge, too")
    second.wait_for(f"process {first.process.pid} on '{socket.gethostname()}' publishes under fer-edge, too")
    second.end()
    listener.wait_for("fer-edge/availability", "offline")
    wait_until(lambda: Listener(broker.port).wait_for("fer-edge/availability")[-1] == "online")
    Listener(broker.port).wait_for("fer-edge/faces", "label")
    first.end()
    assert first.said().count("publishes under") == 1


def test_after_the_end_and_after_a_kill_and_a_new_start_no_face_is_retained(broker: Broker, tmp_path: Path) -> None:
    settings = (f'host = "127.0.0.1:{broker.port}"', 'topic = "fer-edge"')
    killed = Running(tmp_path, *settings)
    Listener(broker.port).wait_for("fer-edge/faces", "label")
    killed.process.kill()
    killed.process.wait()
    Listener(broker.port).wait_for("fer-edge/faces", "label")
    listener = Listener(broker.port)
    again = Running(tmp_path, *settings)
    listener.wait_for("fer-edge/availability", "online")
    wait_until(lambda: ("fer-edge/faces", "") in listener.said)
    again.end()
    last = Listener(broker.port)
    last.wait_for("fer-edge/availability", "offline")
    assert not {"fer-edge/faces", "fer-edge/camera"} & {topic for topic, _ in last.said}
    assert '"faces": 0' in last.wait_for("fer-edge/state")[0]


def result(label: str) -> FrameResult:
    read = Prediction(np.array([0.75, 0.25, 0], np.float32), label, 0.75)
    face = TrackedFace(Track(1, FaceBox(10, 20, 30, 40), 1.0, 0.0), read, read)
    return FrameResult(Frame(np.zeros((48, 64, 3), np.uint8), 5.0, live=True), (face,), {})


def test_the_same_face_is_published_again_after_the_camera_was_lost(broker: Broker) -> None:
    listener = Listener(broker.port)
    with Mqtt(MqttConfig(host=f"127.0.0.1:{broker.port}", topic="fer-edge")) as mqtt:
        listener.wait_for("fer-edge/availability", "online")
        for _ in range(2):
            mqtt.emit(result("happy"))
            mqtt.emit(result("happy"))
            mqtt.waiting("camera")
            mqtt.waiting("camera")
    listener.wait_for("fer-edge/availability", "offline")
    faces = [json.loads(said) for topic, said in listener.said if topic == "fer-edge/faces" and said]
    assert [[face["label"] for face in said["faces"]] for said in faces] == [["happy"], [], ["happy"], []]
    assert faces[0]["faces"][0]["box"] == [10, 20, 30, 40]
    assert [said.get("camera") for said in faces] == [None, "offline"] * 2
    assert [said for topic, said in listener.said if topic == "fer-edge/camera" and said] == ["online", "offline"] * 2


def test_what_was_subscribed_to_is_heard_again_after_a_broker_returned(broker: Broker) -> None:
    heard: list[bytes] = []
    with Mqtt(MqttConfig(host=f"127.0.0.1:{broker.port}", topic="fer-edge")) as mqtt:
        mqtt.subscribe("other/status", heard.append)
        listener = Listener(broker.port)
        listener.wait_for("fer-edge/availability", "online")
        broker.stop()
        broker.start()
        wait_until(lambda: mqtt.connections == 2)
        speaker = Client(CallbackAPIVersion.VERSION2)
        speaker.connect("127.0.0.1", broker.port)
        speaker.loop_start()

        def is_heard() -> bool:
            speaker.publish("other/status", "online", qos=1)
            return bool(heard)

        wait_until(is_heard)
        speaker.loop_stop()
    assert set(heard) == {b"online"}
