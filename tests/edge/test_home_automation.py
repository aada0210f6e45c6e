"""What a run tells over MQTT, from its configuration. On a real broker: test_home_assistant.py, test_fleet_state.py."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.conftest import wait_until
from tests.visitors import month, write_hours

from fer_edge import __version__, home_automation
from fer_edge.config import load_config
from fer_edge.device.identity import board_name, device_id
from fer_edge.device.thermal import read_heat
from fer_edge.model.bundle import MODEL_FILE, find_bundle, load_bundle
from fer_edge.monitoring.drift import State
from fer_edge.monitoring.expected_accuracy import INPUTS, usable
from fer_edge.monitoring.store import HOUR, ModelIdentity, UsageStore
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sinks import Sink
from fer_edge.sinks.home_assistant import HomeAssistant
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.sinks.mqtt_state import MqttState
from fer_edge.updates.fleet_state import FleetState
from fer_edge.updates.latest import Latest, write_latest

MODEL = load_bundle(find_bundle("ferplus7")).manifest


class Connection(Mqtt):
    """The connection, which also keeps what it was given to send. It is never made."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.sent: dict[str, str] = {}
        self.heard: dict[str, Callable[[bytes], None]] = {}
        super().__init__(load_config(None, values).mqtt)

    def publish(self, topic: str, text: str, *, repeat: bool = False) -> None:
        self.sent[topic] = text
        super().publish(topic, text, repeat=repeat)

    def deliver(self, topic: str, text: str) -> Callable[[], bool]:
        self.sent[topic] = text
        return lambda: True

    def subscribe(self, topic: str, callback: Callable[[bytes], None]) -> None:
        self.heard[topic] = callback
        super().subscribe(topic, callback)


class Run:
    """The sinks of a configuration, and what they tell."""

    def __init__(self, values: Mapping[str, object], *others: Sink) -> None:
        values = {"mqtt.host": "localhost", "mqtt.topic": "fer/door", **values}
        self._was_open = False
        self.mqtt = Connection(values)
        self.sinks = home_automation.home_automation(load_config(None, values), MODEL, [*others, self.mqtt])

    def told(self, topic: str) -> Any:
        """The JSON on a topic, after the sinks were open for a moment."""
        if not self._was_open:
            with ExitStack() as stack:
                for sink in self.sinks:
                    stack.enter_context(sink)
                    sink.waiting("the camera")
            self._was_open = True
        return json.loads(self.mqtt.sent[topic]) if topic in self.mqtt.sent else None

    def announced(self, part: str = "fer/door", prefix: str = "homeassistant") -> Any:
        """The announcement to Home Assistant."""
        return self.told(f"{prefix}/device/fer_edge_{device_id(part)}/config")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, of a program that is no service."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    for name in ("FER_EDGE_INSTANCE", "FER_EDGE_UPDATE_REQUEST", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "models"


@pytest.fixture
def heat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board of 51.5 degrees."""
    zone = tmp_path / "zones" / "thermal_zone0" / "temp"
    zone.parent.mkdir(parents=True)
    zone.write_text("51500\n")
    monkeypatch.setattr(home_automation, "read_heat", lambda: read_heat(tmp_path / "zones"))


@contextmanager
def recording(path: Path, *, usual: bool) -> Iterator[UsageRecorder]:
    """A record of three days, with a chance of 0.825 to read a face right; all as those the model was measured on."""
    assert MODEL.reference
    hours = month(seed=1, days=3)
    for hour in hours:
        hour.histograms["expected"] = Counter({16: hour.histograms["confidence"].total()})
        for name in INPUTS if usual else ():
            hour.histograms[name] = Counter(MODEL.reference.histograms[name])
    identity = ModelIdentity(MODEL.name, MODEL.version, MODEL.files[MODEL_FILE])
    write_hours(path, hours, identity, int(time.time()) - len(hours) * HOUR)
    with UsageRecorder(UsageStore(path, identity), "usage", usable(MODEL.reference)) as recorder:
        wait_until(lambda: recorder.expected_accuracy is not None)
        yield recorder


def test_with_a_broker_alone_only_the_state_is_told_and_an_earlier_announcement_is_left() -> None:
    run = Run({})
    assert [type(sink) for sink in run.sinks] == [MqttState]
    assert run.told("fer/door/about") == {
        "model": "ferplus7",
        "model_version": MODEL.version,
        "version": __version__,
        "board": board_name(),
    }
    state = run.told("fer/door/state")
    assert (state["camera"], state["drift"], state["expected_accuracy"]) == (False, None, None)
    assert run.announced() is None
    assert "fer/door/update" not in run.mqtt.sent
    assert "fer/door/update/install" not in run.mqtt.heard


@pytest.mark.usefixtures("heat")
@pytest.mark.parametrize("usual", [True, False])
def test_temperature_drift_and_expected_accuracy_are_told(tmp_path: Path, usual: bool) -> None:
    """The accuracy only where it is to be trusted."""
    with recording(tmp_path / "usage.sqlite", usual=usual) as recorder:
        run = Run({"home_assistant.enabled": True, "fleet.enabled": True, "fleet.id": "lobby"}, recorder)
        assert [type(sink) for sink in run.sinks] == [MqttState, FleetState, HomeAssistant]
        state, fleet = run.told("fer/door/state"), json.loads(run.mqtt.sent["fer-edge/fleet/lobby/state"])
        accuracy = 82.5 if usual else None
        assert (state["temperature"], state["expected_accuracy"], state["drift"]) == (
            51.5,
            accuracy,
            recorder.drift.state,
        )
        assert (fleet["celsius"], fleet["expected_accuracy"], fleet["drift"]) == (51.5, accuracy, recorder.drift.state)
    entities = run.announced()["components"]
    assert entities["drift"]["options"] == list(get_args(State))
    assert {"temperature", "expected_accuracy"} <= set(entities)


def test_home_assistant_learns_of_the_device_what_the_configuration_says() -> None:
    run = Run({"home_assistant.enabled": True})
    announced = run.announced()
    host = socket.gethostname().partition(".")[0]
    assert announced["device"]["name"] == f"fer-edge {host}"
    assert announced["device"]["model"] == board_name()
    assert announced["device"]["sw_version"] == __version__
    assert "configuration_url" not in announced["device"]
    assert announced["state_topic"] == "fer/door/state"
    entities = announced["components"]
    assert set(MODEL.labels) < set(entities["expression"]["options"])
    assert not {"drift", "snapshot", "update", *MODEL.labels} & set(entities)
    assert ("temperature" in entities) == (read_heat().celsius is not None)


def test_home_assistant_learns_of_the_further_entities_that_were_asked_for() -> None:
    values = {
        "home_assistant.enabled": True,
        "home_assistant.name": "Door",
        "home_assistant.prefix": "ha",
        "home_assistant.expressions": True,
        "mqtt.snapshots": True,
        "updates.url": "https://a",
    }
    announced = Run(values).announced(prefix="ha")
    assert announced["device"]["name"] == "Door"
    entities = announced["components"]
    plain = Run({"home_assistant.enabled": True}).announced()["components"]
    assert {"snapshot", "update"} < set(entities) - set(plain)
    assert len(set(entities) - set(plain)) >= 2 + len(MODEL.labels)
    assert "command_topic" not in entities["update"]
    startable = Run({**values, "updates.allow_start": True}).announced(prefix="ha")["components"]["update"]
    assert startable["command_topic"] == "fer/door/update/install"


def test_an_instance_is_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_INSTANCE", "yard")
    announced = Run({"home_assistant.enabled": True}).announced("yard/fer/door")
    assert announced["device"]["name"] == f"fer-edge {socket.gethostname().partition('.')[0]} yard"


def test_the_default_topic_holds_the_name_of_the_machine_and_so_is_no_part_of_the_id() -> None:
    values = {"mqtt.host": "localhost", "home_assistant.enabled": True}
    mqtt = Connection(values)
    (_, announcer) = home_automation.home_automation(load_config(None, values), MODEL, [mqtt])
    with announcer:
        assert f"homeassistant/device/fer_edge_{device_id()}/config" in mqtt.sent


def test_home_assistant_switched_off_removes_the_device() -> None:
    run = Run({"home_assistant.enabled": False, "home_assistant.prefix": "ha"})
    assert [type(sink) for sink in run.sinks] == [MqttState]
    assert run.mqtt.sent[f"ha/device/fer_edge_{device_id('fer/door')}/config"] == ""


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({"web.listen": "127.0.0.1:8080"}, None),
        ({"web.listen": "unix"}, None),
        ({"web.listen": "0.0.0.0:8080"}, f"http://{socket.gethostname()}:8080"),
        ({"web.listen": "[::]:8080"}, f"http://{socket.gethostname()}:8080"),
        ({"web.listen": "192.168.1.5:8081"}, "http://192.168.1.5:8081"),
        ({"web.listen": "[fd00::5]:8080"}, "http://[fd00::5]:8080"),
        ({"web.listen": "0.0.0.0:8080", "web.hosts": ["door.lan", "b.lan"]}, "http://door.lan:8080"),
        (
            {"web.listen": "192.168.1.5:443", "web.certificate": "/a.pem", "web.key": "/a.key"},
            "https://192.168.1.5:443",
        ),
    ],
)
def test_home_assistant_links_to_a_page_that_it_can_reach(values: dict[str, object], address: str | None) -> None:
    run = Run({"home_assistant.enabled": True, **values})
    assert run.announced()["device"].get("configuration_url") == address


def test_the_fleet_learns_the_facts_of_this_device(folder: Path) -> None:
    found = Latest(name="ferplus7", installed="1", latest="2", reason="It waits for the night.", checked_at=1.0)
    values = {"fleet.enabled": True, "fleet.id": "lobby"}
    plain = Run(values).told("fer-edge/fleet/lobby/state")
    assert (plain["channel"], plain["tags"], plain["decision"]) == ("", [], "")
    assert (plain["board"], plain["software"]) == (board_name(), __version__)
    assert plain["model"] == f"ferplus7@{MODEL.version}"
    assert plain["drift"] == ""
    write_latest(found, folder)
    values |= {"updates.url": "https://a", "updates.channel": "beta", "updates.tags": ["door", "north"]}
    state = Run(values).told("fer-edge/fleet/lobby/state")
    assert (state["channel"], state["tags"]) == ("beta", ["door", "north"])
    assert state["decision"] == "It waits for the night."


def test_the_fleet_learns_the_counts_of_a_record(tmp_path: Path) -> None:
    record = tmp_path / "usage.sqlite"
    with recording(record, usual=False) as recorder:
        run = Run({"fleet.enabled": True, "fleet.id": "lobby", "usage.path": str(record)}, recorder)
        with run.sinks[1]:
            wait_until(lambda: "fer-edge/fleet/lobby/usage" in run.mqtt.sent)
    assert json.loads(run.mqtt.sent["fer-edge/fleet/lobby/usage"])["days"]


def update(folder: Path, found: Latest | None) -> Any:
    if found:
        write_latest(found, folder)
    return Run({"updates.url": "https://a"}).told("fer/door/update")


def test_the_model_and_its_newest_version_are_told(folder: Path) -> None:
    same = {"installed_version": MODEL.version, "title": "Model ferplus7", "in_progress": False}
    unknown = {**same, "latest_version": MODEL.version, "release_summary": "Not looked yet."}
    assert update(folder, None) == unknown
    found = Latest(name="ferplus7", installed="1", latest="99", reason="r" * 300, checked_at=1.0)
    assert update(folder, found) == {**same, "latest_version": "99", "release_summary": "r" * 255}
    other = Latest(name="another", installed="1", latest="99", reason="x", checked_at=1.0)
    assert update(folder, other) == unknown


def test_an_update_is_asked_for_by_the_word_install_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run({"updates.url": "https://a", "updates.allow_start": True})
    ask = run.mqtt.heard["fer/door/update/install"]
    monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", str(tmp_path / "request"))
    ask(b"something")
    assert not (tmp_path / "request").exists()
    assert "fer/door/update" not in run.mqtt.sent
    ask(b"install")
    assert abs(int((tmp_path / "request").read_text()) - time.time()) < 60
    told = json.loads(run.mqtt.sent["fer/door/update"])
    assert (told["title"], told["in_progress"]) == ("Model ferplus7", True)
    assert not caplog.records


def test_an_update_that_cannot_be_asked_for_is_logged_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    run = Run({"updates.url": "https://a", "updates.allow_start": True})
    run.mqtt.heard["fer/door/update/install"](b"install")
    (said,) = caplog.messages
    assert said == (
        "an update was asked for over MQTT: only the service can start an update. Elsewhere: fer-edge models update"
    )
    assert json.loads(run.mqtt.sent["fer/door/update"])["in_progress"] is False
