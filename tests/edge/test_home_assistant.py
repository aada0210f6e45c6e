"""The messages for Home Assistant on a real broker. A real Home Assistant: tests/hardware/test_home_assistant.py."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from tests.broker import Broker, Listener
from tests.camera import LoopbackCamera
from tests.clock import Clock
from tests.conftest import Run, wait_until
from tests.edge.discovery_schema import SCHEMA
from tests.visitors import write_expected

from fer_edge import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.config import MqttConfig
from fer_edge.device.identity import device_id
from fer_edge.sinks.home_assistant import HomeAssistant, withdraw
from fer_edge.sinks.home_assistant_discovery import Device, discovery_payload, discovery_topic, removed_entities
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.sinks.mqtt_state import REFRESH_S, About, MqttState, Readings
from fer_edge.updates.latest import Latest, write_latest
from fer_edge.web.auth import hash_password

FER_EDGE = Path(sys.executable).with_name("fer-edge")
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
ID = "0123456789ab"
ON = "[home_assistant]\nenabled = true\n"


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker.port)
    yield listener
    listener.close()


@contextmanager
def running(
    broker: Broker,
    settings: str,
    *,
    mqtt: str = "",
    source: str = "demo",
    command: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    end: int = 0,
) -> Iterator[subprocess.Popen[bytes]]:
    """A run that is told of a broker."""
    config = broker.folder / "config.toml"
    top, _, sections = settings.partition("[")
    config.write_text(
        f'source = "{source}"\n{top}\n[mqtt]\nhost = "127.0.0.1:{broker.port}"\n{mqtt}\n'
        + (f"[{sections}" if sections else "")
    )
    with (broker.folder / "errors.txt").open("ab") as errors:
        arguments = [*command, FER_EDGE, "run", "--config", config]
        process = subprocess.Popen([*map(str, arguments)], stderr=errors, env={**os.environ, **(env or {})})
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(20) in {end, -signal.SIGKILL}


def announcement(listener: Listener) -> dict[str, Any]:
    wait_until(lambda: listener.latest("/config") is not None)
    message: dict[str, Any] = listener.latest("/config")
    return message


def test_the_announcement_is_one_that_home_assistant_accepts(broker: Broker, listener: Listener) -> None:
    page = '[web]\nlisten = "127.0.0.1:0"\n'
    with running(broker, f"{ON}expressions = true\nname = 'Kitchen camera'\n{page}", mqtt="snapshots = true"):
        message = announcement(listener)
        wait_until(lambda: listener.latest("/state") is not None and listener.latest("/about") is not None)
    jsonschema.validate(message, SCHEMA)
    assert message["device"]["name"] == "Kitchen camera"
    assert "configuration_url" not in message["device"], "others cannot reach the page"
    entities = message["components"]
    assert set(entities) >= {"expression", "confidence", "faces", "somebody", "camera", "fps", "problem", "snapshot"}
    assert entities["expression"]["options"] == [*LABELS, "uncertain"]
    assert {f"expression_{label}" for label in LABELS} < set(entities)
    assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)
    (topic,) = {heard for heard, _ in listener.heard if heard.endswith("/config")}
    assert topic == f"homeassistant/device/{message['device']['identifiers'][0]}/config"
    said = {heard: json.loads(text) for heard, text in listener.heard if heard.endswith(("/state", "/about"))}
    for key, entity in entities.items():
        values = said.get(entity.get("state_topic", message["state_topic"]), {})
        assert key == "snapshot" or set(re.findall(r"value_json\.(\w+)", entity["value_template"])) <= set(values)
        for where in entity["availability"]:
            assert listener.on(where["topic"]), f"{key} would be unavailable for ever"


def device(*, whole: bool) -> Device:
    about = About("model", "1", "2.3", "a board")
    states, url = (("ok", "drifted"), "http://door:8080") if whole else ((), None)
    return Device(ID, "Door", "home/door", about, ("happy", "sad"), whole, states, whole, whole, whole, whole, url)


def test_entities_have_the_topics_values_and_availability_of_what_is_published() -> None:
    payload = json.loads(json.dumps(discovery_payload(device(whole=True))))
    jsonschema.validate(payload, SCHEMA)
    assert payload["state_topic"] == "home/door/state"
    assert payload["device"] == {
        "identifiers": [f"fer_edge_{ID}"],
        "name": "Door",
        "manufacturer": "fer-edge",
        "model": "a board",
        "sw_version": "2.3",
        "configuration_url": "http://door:8080",
    }
    assert discovery_topic("ha", ID) == f"ha/device/fer_edge_{ID}/config"
    entities = payload["components"]
    assert entities["snapshot"]["image_topic"] == "home/door/snapshot"
    assert entities["problem"]["json_attributes_topic"] == "home/door/problem"
    update = {key: value for key, value in entities["update"].items() if key.endswith(("topic", "install"))}
    assert update == {
        "state_topic": "home/door/update",
        "command_topic": "home/door/update/install",
        "payload_install": "install",
    }
    values = {key: entity["value_template"] for key, entity in entities.items() if "value_template" in entity}
    for key in ("expression", "confidence", "faces", "fps", "temperature", "drift", "expected_accuracy", "board"):
        assert values[key] == f"{{{{ value_json.{key} }}}}"
    assert "value_json.faces > 0" in values["somebody"]
    assert '"sad" in value_json.expressions' in values["expression_sad"]
    units = {key: entity["unit_of_measurement"] for key, entity in entities.items() if "unit_of_measurement" in entity}
    assert units == {"confidence": "%", "fps": "fps", "temperature": "°C", "expected_accuracy": "%"}
    about = {key for key, entity in entities.items() if entity.get("state_topic") == "home/door/about"}
    assert about == {"model", "model_version", "version", "board"}
    expiring = {key for key, entity in entities.items() if entity.get("expire_after") == 4 * REFRESH_S}
    assert expiring == set(entities) - about - {"snapshot", "update"}
    always = [{"topic": "home/door/availability"}]
    with_camera = {key for key, entity in entities.items() if entity["availability"] != always}
    seen = {"expression", "confidence", "faces", "somebody", "fps", "snapshot", "expression_happy", "expression_sad"}
    assert with_camera == seen
    for key in seen:
        assert entities[key]["availability"] == [*always, {"topic": "home/door/camera"}]
        assert entities[key]["availability_mode"] == "all"


def test_what_a_device_lacks_is_not_announced() -> None:
    payload = json.loads(json.dumps(discovery_payload(device(whole=False))))
    jsonschema.validate(payload, SCHEMA)
    assert "configuration_url" not in payload["device"]
    whole = discovery_payload(device(whole=True))
    removed = removed_entities(json.dumps(whole).encode(), payload)
    assert removed == {
        "temperature": {"platform": "sensor"},
        "drift": {"platform": "sensor"},
        "expected_accuracy": {"platform": "sensor"},
        "expression_happy": {"platform": "binary_sensor"},
        "expression_sad": {"platform": "binary_sensor"},
        "snapshot": {"platform": "image"},
        "update": {"platform": "update"},
    }
    again = {**payload, "components": {**payload["components"], **removed}}
    assert removed_entities(json.dumps(again).encode(), payload) == {}, "it is removed once"
    least = device(whole=False)
    for one, added in (
        (replace(least, has_temperature=True), {"temperature"}),
        (replace(least, has_expressions=True), {"expression_happy", "expression_sad"}),
        (replace(least, has_snapshots=True), {"snapshot"}),
        (replace(least, has_updates=True), {"update"}),
    ):
        assert set(discovery_payload(one)["components"]) - set(payload["components"]) == added


def test_a_usage_record_adds_drift_and_expected_accuracy(broker: Broker, listener: Listener) -> None:
    write_expected(broker.folder / "usage.sqlite")
    with running(broker, f'{ON}[usage]\npath = "{broker.folder}/usage.sqlite"\n'):
        message = announcement(listener)
        wait_until(lambda: "drift" in (listener.latest("/state") or {}))
        wait_until(lambda: listener.latest("/state")["drift"] is not None)
    jsonschema.validate(message, SCHEMA)
    entities = message["components"]
    assert listener.latest("/state")["drift"] in entities["drift"]["options"]
    assert entities["expected_accuracy"]["unit_of_measurement"] == "%"


def test_updates_add_an_entity_with_the_installed_and_the_latest_version(broker: Broker, listener: Listener) -> None:
    models = broker.folder / "models"
    write_latest(Latest("ferplus7", "0.1.0", "0.2.0", "ferplus7 0.2.0 is meant for this device.", 0.0), models)
    with running(broker, f'{ON}[updates]\nurl = "https://models.invalid"\n', env={"FER_EDGE_MODELS": str(models)}):
        message = announcement(listener)
        wait_until(lambda: listener.latest("/update") is not None)
        jsonschema.validate(message, SCHEMA)
        entity = message["components"]["update"]
        assert entity["platform"] == "update"
        assert listener.on(entity["state_topic"])
        said = listener.latest("/update")
        assert (said["installed_version"], said["latest_version"]) == ("0.1.0", "0.2.0")
        assert said["release_summary"] == "ferplus7 0.2.0 is meant for this device."
        write_latest(Latest("other", "1", "9", "", 0.0), models)
        wait_until(lambda: listener.latest("/update")["latest_version"] == "0.1.0", 90)


def test_home_assistant_starts_an_update_where_that_is_allowed(broker: Broker, listener: Listener) -> None:
    asked = broker.folder / "look"
    env = {"FER_EDGE_MODELS": str(broker.folder / "models"), "FER_EDGE_UPDATE_REQUEST": str(asked)}
    updates = '[updates]\nurl = "https://models.invalid"\n'
    with running(broker, f"{ON}{updates}", env=env):
        message = announcement(listener)
        assert "command_topic" not in message["components"]["update"]
        wait_until(lambda: bool(listener.on("/update")))
        topic = message["components"]["update"]["state_topic"]
        listener.say(f"{topic}/install", "install")
    with running(broker, f"{ON}{updates}allow_start = true\n", env=env):
        wait_until(lambda: "command_topic" in announcement(listener)["components"]["update"])
        message = announcement(listener)
        jsonschema.validate(message, SCHEMA)
        entity = message["components"]["update"]
        assert not asked.exists(), "it was not allowed"
        assert not listener.latest("/update")["in_progress"]
        listener.say(entity["command_topic"], b"\xff")
        listener.say(entity["command_topic"], entity["payload_install"])
        wait_until(lambda: listener.latest("/update")["in_progress"])
        assert asked.is_file()
    assert "was asked for" not in (broker.folder / "errors.txt").read_text()


def test_a_late_subscriber_gets_the_announcement_also_after_a_kill(broker: Broker) -> None:
    with running(broker, ON) as process:
        first = Listener(broker.port)
        before = announcement(first)
        wait_until(lambda: first.on("/availability") == [b"online"])
        late = Listener(broker.port)
        assert announcement(late) == before
        process.kill()
        wait_until(lambda: first.on("/availability")[-1] == b"offline")
        late = Listener(broker.port)
        assert announcement(late) == before, "it is announced while it is away"
        wait_until(lambda: late.on("/availability") == [b"offline"])
    with running(broker, ON):
        wait_until(lambda: late.on("/availability")[-1] == b"online")
        wait_until(lambda: (late.latest("/state") or {}).get("faces") == 1)
        assert announcement(late) == before


def test_entities_that_are_switched_off_are_removed(broker: Broker, listener: Listener) -> None:
    with running(broker, f"{ON}expressions = true\n", mqtt="snapshots = true"):
        first = announcement(listener)
    gone = {key: entity for key, entity in first["components"].items() if key.startswith(("expression_", "snapshot"))}
    assert len(gone) == 1 + len(LABELS)
    with running(broker, ON):
        wait_until(lambda: listener.latest("/config")["components"].get("snapshot") == {"platform": "image"})
    message = listener.latest("/config")
    for key, entity in gone.items():
        assert message["components"].pop(key) == {"platform": entity["platform"]}
    with running(broker, ON):
        wait_until(lambda: listener.latest("/config") == message)
    with running(broker, "[home_assistant]\nenabled = false\n"):
        wait_until(lambda: listener.on("/config")[-1] == b"")
    assert Listener(broker.port).on("/config") == []


def test_nothing_is_announced_without_the_section(broker: Broker, listener: Listener) -> None:
    with running(broker, ""):
        wait_until(lambda: listener.latest("/state") is not None)
    assert not [topic for topic, _ in listener.heard if topic.startswith("homeassistant")]
    assert not listener.on("/snapshot")


def test_still_pictures_are_not_announced(broker: Broker, listener: Listener) -> None:
    picture = broker.folder / "grey.png"
    cv2.imwrite(str(picture), np.full((480, 640, 3), 99, np.uint8))
    with running(broker, ON, source=str(picture)) as process:
        assert process.wait(60) == 0
    wait_until(lambda: listener.on("/availability")[-1:] == [b"offline"])
    assert not listener.on("/state")
    assert not listener.on("/config")


def test_states_are_rate_limited_and_the_end_leaves_no_face(broker: Broker, listener: Listener) -> None:
    with running(broker, ON, mqtt="interval = 2"):
        wait_until(lambda: len({state["expression"] for state in states(listener)}) > 2)
    told = states(listener)[:-1]  # the last tells of the end
    times = sorted({datetime.fromisoformat(state["time"]).timestamp() for state in told})
    assert min(np.diff(times)) >= 1.9, "of thirty frames per second one state per interval"
    assert all(len(text) < 255 for text in listener.on("/state"))
    last = listener.latest("/state")
    assert (last["expression"], last["faces"], last["camera"], last["fps"]) == (None, 0, False, 0.0)


def states(listener: Listener) -> list[dict[str, Any]]:
    return [json.loads(text) for text in listener.on("/state")]


def test_only_a_start_of_home_assistant_is_answered(broker: Broker, listener: Listener) -> None:
    with running(broker, ON) as process:
        message = announcement(listener)
        for garbage in (b"", b"offline", b"\xff\xfe\x00", b"online" * 100_000, b'{"a": [', b"ONLINE"):
            listener.say("homeassistant/status", garbage)
        listener.say("homeassistant/status", "online")
        wait_until(lambda: len(listener.on("/config")) > 1)
        assert listener.on("/config") == listener.on("/config")[:1] * 2
        (topic,) = {heard for heard, _ in listener.heard if heard.endswith("/config")}
        listener.say(topic, b"", retain=True)
        states = len(listener.on("/state"))
        wait_until(lambda: len(listener.on("/state")) > states + 3)
        assert listener.on("/config")[-1] == b"", "what the owner deletes is not announced again at once"
        told, began = len(listener.on("/config")), time.monotonic()
        for _ in range(200):
            listener.say("homeassistant/status", "online")
        wait_until(lambda: len(listener.on("/config")) > told)
        passed = time.monotonic() - began
        assert len(listener.on("/config")) <= told + 2 + passed / 5, "a flood is not answered by a flood"
        assert announcement(listener) == message
        assert process.poll() is None
    assert (broker.folder / "errors.txt").read_text().count("Traceback") == 0


GARBAGE = (b"\xff", b"[]", b"3", b"{}", b'{"components": 3}', b'{"components": {"a": null}}', b"[" * 100_000)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_an_invalid_announcement_removes_nothing(garbage: bytes) -> None:
    assert removed_entities(garbage, {"components": {}}) == {}


def test_an_invalid_announcement_is_replaced(broker: Broker, listener: Listener) -> None:
    listener.say(f"homeassistant/device/fer_edge_{device_id()}/config", b'{"components": [', retain=True)
    with running(broker, ON):
        wait_until(lambda: len(listener.on("/config")) > 2)
    jsonschema.validate(json.loads(listener.on("/config")[-1]), SCHEMA)


def test_a_new_host_name_keeps_the_device(broker: Broker, listener: Listener) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "--uts", "true"], check=False).returncode:
        pytest.skip("no host name of its own can be had here")
    rename = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', "other-name")
    with running(broker, ON):
        before = announcement(listener)
    with running(broker, ON, command=rename):
        wait_until(lambda: "other-name" in listener.latest("/config")["device"]["name"])
    after = announcement(listener)
    assert after["device"]["identifiers"] == before["device"]["identifiers"]
    assert {entity["unique_id"] for entity in after["components"].values()} == {
        entity["unique_id"] for entity in before["components"].values()
    }
    assert after["state_topic"] != before["state_topic"]


def test_an_instance_and_a_chosen_topic_are_separate_devices(broker: Broker, listener: Listener) -> None:
    def devices() -> set[str]:
        return {topic for topic, _ in listener.heard if topic.endswith("/config")}

    web = f'[web]\nlisten = "0.0.0.0:0"\nhosts = ["kitchen.example"]\npassword = "{hash_password("a long one")}"\n'
    with running(broker, f"{ON}{web}", env={"FER_EDGE_INSTANCE": "door"}):
        wait_until(lambda: len(devices()) == 1)
    device = announcement(listener)["device"]
    assert device["name"].endswith(" door")
    assert device["configuration_url"] == "http://kitchen.example:0", "others can reach the page"
    socket = f'[web]\nlisten = "unix:{broker.folder}/web.sock"\n'  # no address that a browser could open
    with running(broker, f"{ON}{socket}", mqtt="topic = 'home/door'"):
        wait_until(lambda: len(devices()) == 2)
    assert f"homeassistant/device/fer_edge_{device_id()}/config" not in devices()


def test_the_device_id_is_a_hash_of_the_machine_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    found = device_id("", machine)
    assert re.fullmatch("[0-9a-f]{12}", found)
    assert found not in machine.read_text()
    assert device_id("door", machine) != found
    machine.write_text(machine.read_text().strip())
    assert device_id("", machine) == found
    machine.write_text("fedcba9876543210fedcba9876543210\n")
    assert device_id("", machine) != found
    without = device_id("", tmp_path / "absent")
    assert device_id("", tmp_path / "absent too") == without
    monkeypatch.setattr("socket.gethostname", lambda: "another-board")
    assert device_id("", tmp_path / "absent") != without


def test_a_lost_camera_is_reported(broker: Broker, listener: Listener, camera: LoopbackCamera) -> None:
    with running(broker, ON, source=camera.url()):
        wait_until(lambda: (listener.latest("/state") or {}).get("expression") == "happy")
        camera.unplug()
        wait_until(lambda: listener.latest("/state")["camera"] is False)
        lost = listener.latest("/state")
        assert (lost["expression"], lost["faces"], lost["fps"]) == (None, 0, 0.0)
        assert listener.on("/camera")[-1] == b"offline"
        camera.plug()
        wait_until(lambda: listener.latest("/state")["camera"] is True)


def test_an_output_that_fails_is_a_problem(broker: Broker, listener: Listener) -> None:
    with running(broker, f'json = "/dev/full"\n{ON}', end=2):
        wait_until(lambda: (listener.latest("/state") or {}).get("problem") is True)
        wait_until(
            lambda: "/dev/full: No space left on device" in (listener.latest("/problem") or {}).get("outputs", "")
        )


def test_a_snapshot_is_sent_only_where_allowed_and_is_not_kept(
    broker: Broker, listener: Listener, camera: LoopbackCamera
) -> None:
    still = camera.url("still")
    with running(broker, ON, mqtt="snapshots = true", source=still):
        wait_until(lambda: bool(listener.on("/snapshot")))
        sharp = picture(listener)
        late = Listener(broker.port)
        wait_until(lambda: late.latest("/config") is not None)
        assert not late.on("/snapshot"), "the broker keeps no picture"
    listener.heard.clear()
    with running(broker, f"blur = true\n{ON}", mqtt="snapshots = true", source=still):
        wait_until(lambda: bool(listener.on("/snapshot")))
    hidden = picture(listener)
    assert sharp.shape == hidden.shape == (480, 640, 3)
    assert flat(hidden) > flat(sharp) + 0.15


def picture(listener: Listener) -> np.ndarray[Any, Any]:
    image = cv2.imdecode(np.frombuffer(listener.on("/snapshot")[-1], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def flat(image: np.ndarray[Any, Any]) -> float:
    """The part of the face, which is in the middle, that is as bright as what is beside it: much of coarse pixels."""
    face = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[190:300, 270:370].astype(int)
    return float(np.mean(np.abs(np.diff(face, axis=1)) <= 1))


def result(*faces: tuple[int, str, float], confidence: float = 0.5) -> FrameResult:
    """A frame with faces of some id, label and size."""
    probabilities = np.full(7, 1 / 7, np.float32)
    found = []
    for identity, label, size in faces:
        prediction = Prediction(probabilities, label, confidence)
        found.append(TrackedFace(Track(identity, FaceBox(0, 0, size, size), 1.0, 0.0), prediction, prediction))
    return FrameResult(Frame(np.zeros((480, 640, 3), np.uint8), live=True), tuple(found), {})


def test_the_nearest_face_counts_until_another_is_clearly_nearer(broker: Broker, listener: Listener) -> None:
    config = MqttConfig(host=f"127.0.0.1:{broker.port}", topic="test", interval=0.1)
    about = About("model", "1", "2", "board")
    readings = Readings(lambda: 51.24, lambda: "drifted", lambda: 81.26)
    with Mqtt(config) as mqtt, MqttState(mqtt, config, about, readings) as state:
        wait_until(lambda: listener.on("test/availability") == [b"online"])

        def told(faces: FrameResult) -> dict[str, Any]:
            count = len(listener.on("test/state"))

            def is_told() -> bool:
                state.emit(faces)
                return len(listener.on("test/state")) > count

            wait_until(is_told)
            found: dict[str, Any] = listener.latest("test/state")
            return found

        first = told(result((1, "sad", 50), (2, "happy", 60)))
        assert (first["expression"], first["confidence"], first["faces"]) == ("happy", 50, 2)
        assert first["expressions"] == ["happy", "sad"]
        assert (first["temperature"], first["problem"]) == (51.2, True)
        assert (first["drift"], first["expected_accuracy"]) == ("drifted", 81.3)
        assert listener.latest("test/problem") == {"drift": "drifted"}
        assert told(result((1, "fear", 62), (2, "angry", 60)))["expression"] == "angry", "hardly nearer"
        assert told(result((1, "sad", 80), (2, "angry", 60)))["expression"] == "sad"
        assert told(result())["expression"] is None
        many = [(identity, label, 50.0) for identity, label in enumerate((*LABELS, "contempt", "uncertain"))]
        told(result(*many))
        assert len(listener.on("test/state")[-1]) < 400


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fer_edge.sinks.mqtt_state.time", clock)
    return clock


def test_an_unchanged_state_comes_again_and_snapshots_are_far_apart(
    broker: Broker, listener: Listener, clock: Clock
) -> None:
    config = MqttConfig(host=f"127.0.0.1:{broker.port}", topic="test", interval=1, snapshots=True)
    with Mqtt(config) as mqtt, MqttState(mqtt, config, About("model", "1", "2", "board"), Readings()) as state:
        wait_until(lambda: listener.on("test/availability") == [b"online"])
        for seconds, label in ((0, "happy"), (29, "happy"), (31, "happy"), (36, "sad"), (39, "sad"), (41.5, "sad")):
            clock.now = 100.0 + seconds
            state.emit(result((1, label, 50)))
    wait_until(lambda: (listener.latest("test/state") or {}).get("camera") is False)
    assert [told["expression"] for told in states(listener)] == ["happy", "happy", "sad", None]
    assert len(listener.on("test/snapshot")) == 3, "at 0, 31 and 41.5 seconds"


def test_a_snapshot_belongs_to_a_change_and_the_confidence_counts_in_both_directions(
    broker: Broker, listener: Listener, clock: Clock
) -> None:
    config = MqttConfig(host=f"127.0.0.1:{broker.port}", topic="test", interval=1, snapshots=True)
    readings = Readings(drift=lambda: "ok")
    with Mqtt(config) as mqtt, MqttState(mqtt, config, About("model", "1", "2", "board"), readings) as state:
        wait_until(lambda: listener.on("test/availability") == [b"online"])
        at = ((0, 0.9), (11, 0.85), (12, 0.8), (13, 0.89), (14, 0.9), (23.5, 0.9), (34, 0.9), (45, 0.9))
        for seconds, confidence in at:
            clock.now = 100.0 + seconds
            state.emit(result((1, "happy", 50), confidence=confidence))
        clock.now += 2
        state.waiting("the camera is lost")
        clock.now += 2
        state.emit(result((1, "happy", 50)))
    wait_until(lambda: len(states(listener)) == 7)
    shown = [(told["confidence"], told["camera"]) for told in states(listener)]
    assert shown == [(90, True), (80, True), (90, True), (90, True), (None, False), (50, True), (None, False)]
    assert [told["fps"] for told in states(listener)][4::2] == [0, 0], "without a camera there is no frame rate"
    assert not any(told["problem"] for told in states(listener)), "that nothing has drifted is no problem"
    assert set(listener.on("test/problem")) == {b"{}"}
    assert len(listener.on("test/snapshot")) == 4, "at 0, 12, 23.5 and 45 seconds"


def test_a_device_is_announced_again_when_asked_for_and_five_seconds_apart(
    broker: Broker, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, topic = Clock(), f"ha/device/fer_edge_{ID}/config"
    monkeypatch.setattr("fer_edge.sinks.home_assistant.time", clock)
    whole, less = device(whole=True), device(whole=False)
    expected = json.loads(json.dumps(discovery_payload(less)))

    def announced(count: int) -> Any:
        """The last of so many announcements."""
        wait_until(lambda: len(listener.on(topic)) == count)
        text = listener.on(topic)[-1]
        return json.loads(text) if text.startswith(b"{") else text

    with Mqtt(MqttConfig(host=f"127.0.0.1:{broker.port}", topic="test")) as mqtt:
        wait_until(lambda: mqtt.connections == 1)
        with HomeAssistant(mqtt, "ha", less) as sink:
            assert sink.description == "Home Assistant"
            assert announced(1) == expected
            # An earlier run's announcement, heard late. If it came first, this one would remove its entities.
            listener.say(topic, json.dumps(discovery_payload(whole)), retain=True)
            wait_until(lambda: sink._is_asked)
            clock.now += 4.9
            sink.emit(result((1, "happy", 50)))
            assert sink._is_asked
            clock.now += 0.2
            sink.emit(result((1, "happy", 50)))
            components = announced(3)["components"]
            removed = {"temperature", "drift", "expected_accuracy", "expression_happy", "expression_sad"}
            assert {key for key, entity in components.items() if len(entity) == 1} == removed | {"snapshot", "update"}
            assert {key: components[key] for key in expected["components"]} == expected["components"]
            clock.now += 6
            for heard, text in (("ha/status", "offline"), (topic, "")):
                listener.say(heard, text)
                mqtt.publish("test/heard", heard, repeat=True)
                wait_until(lambda: heard.encode() in listener.on("test/heard"))  # noqa: B023
                sink.emit(result((1, "happy", 50)))
                assert not sink._is_asked
            assert announced(4) == b""
            for count, (heard, text) in ((5, ("ha/status", "online")), (7, (topic, "no announcement"))):
                listener.say(heard, text)
                wait_until(lambda: sink._is_asked)
                clock.now += 6
                for _ in range(2):
                    sink.waiting("the camera is lost")
                assert announced(count)["components"] == components, "what was removed stays so"
        withdraw(mqtt, "ha", ID)
        assert announced(8) == b""


def test_home_assistant_without_a_broker_is_refused(command: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(ON)
    done = command("fer-edge", "run", "--config", config)
    assert done.returncode == 2
    assert done.stderr == f"error: {config}: home_assistant: needs a broker: set mqtt.host\n"
