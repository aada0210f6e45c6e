"""What a device tells the operator of its fleet, against a real broker on loopback."""

import json
import logging
import random
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.broker import Broker, Listener
from tests.clock import Clock
from tests.conftest import Run, wait_until
from tests.edge.test_usage import frame

from fer_edge.config import MqttConfig, RunConfig, load_config
from fer_edge.device.identity import fleet_id
from fer_edge.errors import DataError
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, Verdict, record_path
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import ModelIdentity, UsageStore
from fer_edge.sinks import Sink
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.updates import fleet_messages, fleet_state
from fer_edge.updates.fleet_messages import MOST_BYTES, DeviceState, DeviceUsage, is_id, parse_message
from fer_edge.updates.fleet_state import Facts, FleetState, Readings, Schedule, read_trials, usage_days

TOPIC = "fer-edge/fleet/kitchen/state"
UPDATES = ("[updates]", 'url = "http://127.0.0.1:9/"', 'channel = "beta"', 'tags = ["lobby"]')


def state(**changes: object) -> DeviceState:
    given = {
        "id": "kitchen", "time": datetime(2026, 11, 27, tzinfo=UTC), "running": True, "board": "Pi 4",
        "software": "0.1.0", "model": "ferplus7@0.2.0", "camera": True, "fps": 14.5, "drift": "ok", **changes,
    }  # fmt: skip
    return DeviceState.model_validate(given)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It looks often, and keeps its record of trials in the test's folder."""
    monkeypatch.setattr(fleet_state, "_INTERVAL_S", 0.05)
    monkeypatch.setattr(fleet_state, "_RECONNECTED_S", 0.1)
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))


# One message


def test_a_message_is_read_as_it_was_written() -> None:
    said = state(trials=[{"model": "m@1", "passed": False, "reason": "too slow"}])
    assert parse_message(DeviceState, TOPIC, said.model_dump_json().encode()) == said


def test_only_what_matters_is_news() -> None:
    now = state()
    assert now.is_news(None)
    assert not state(fps=9, celsius=50, expected_accuracy=70, time=datetime(2026, 11, 28, tzinfo=UTC)).is_news(now)
    for change in (
        {"camera": False}, {"problem": "disk full"}, {"model": "ferplus7@0.3.0"}, {"running": False},
        {"on_trial": "ferplus7@0.3.0"}, {"channel": "beta"}, {"tags": ["lobby"]},
        {"drift": "drifted"}, {"decision": "halted"},
        {"trials": [{"model": "m@1", "passed": True, "reason": ""}]},
    ):  # fmt: skip
        assert state(**change).is_news(now)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON"),
        (b"\x00\xff", "Invalid JSON"),
        (b"[]", "should be an object"),
        (b"{" * 1000, "Invalid JSON"),
        (b" " * (MOST_BYTES + 1), "more than 32768"),
        (json.dumps({**state().model_dump(mode="json"), "id": "garage"}).encode(), "says that it is from garage"),
        (json.dumps({**state().model_dump(mode="json"), "board": "\x1b[2J"}).encode(), "cannot be shown"),
        (json.dumps({**state().model_dump(mode="json"), "board": "x" * 301}).encode(), "board"),
        (json.dumps({**state().model_dump(mode="json"), "fps": -1}).encode(), "fps"),
        (json.dumps({**state().model_dump(mode="json"), "fps": float("nan")}).encode(), "fps"),
        (json.dumps({**state().model_dump(mode="json"), "trials": [{}] * 11}).encode(), "trials"),
        (json.dumps({**state().model_dump(mode="json"), "schema_version": 2}).encode(), "schema_version"),
    ],
)
def test_what_nobody_says_is_one_line(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_message(DeviceState, TOPIC, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_device_does_not_speak_for_one_whose_name_begins_like_its_own() -> None:
    said = state().model_dump_json().encode()
    with pytest.raises(DataError, match="kitchen2/state: says that it is from kitchen"):
        parse_message(DeviceState, "fer-edge/fleet/kitchen2/state", said)


@settings(deadline=None, derandomize=True, database=None, max_examples=80)
@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(as_json))
def test_any_bytes_are_refused_without_a_traceback(content: bytes) -> None:
    with pytest.raises(DataError):
        parse_message(DeviceUsage, "fer-edge/fleet/kitchen/usage", content)


USAGE = "fer-edge/fleet/kitchen/usage"


def usage(**changes: object) -> bytes:
    """The counts of one day, as a message."""
    day = {
        "day": "2026-11-20", "model": "m@1", "recorded_s": 3600, "frames": 100, "people": 2,
        "face_s": {"happy": 3.5}, "means": {"confidence": 0.5}, **changes,
    }  # fmt: skip
    return as_json({"id": "kitchen", "days": [day]})


def refusal(content: bytes) -> str:
    """Why these counts are refused."""
    with pytest.raises(DataError) as caught:
        parse_message(DeviceUsage, USAGE, content)
    assert str(caught.value).startswith(f"{USAGE}: ")
    return str(caught.value).removeprefix(f"{USAGE}: ")


def refusal_of_state(said: object) -> str:
    """Why this state is refused."""
    with pytest.raises(DataError) as caught:
        parse_message(DeviceState, TOPIC, as_json(said))
    assert str(caught.value).startswith(f"{TOPIC}: ")
    return str(caught.value).removeprefix(f"{TOPIC}: ")


@pytest.mark.parametrize(
    ("name", "most", "shown"), [("confidence", 1.0, "1"), ("brightness", 256.0, "256"), ("sharpness", 1e9, "1e+09")]
)
def test_the_mean_of_a_feature_lies_in_its_range(name: str, most: float, shown: str) -> None:
    for mean in (None, 0.0, 0.5, most):
        (day,) = parse_message(DeviceUsage, USAGE, usage(means={name: mean})).days
        assert day.means == {name: mean}
    for mean, said in ((-0.5, "-0.5"), (2 * most, f"{2 * most:g}")):
        assert refusal(usage(means={name: mean})).startswith(
            f"days.0.means: {name} is {said}, and 0 to {shown} is possible"
        )


def test_a_day_may_be_tomorrow_where_it_has_begun_and_no_later(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noon(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Noon":
            return cls(2026, 11, 27, 12, tzinfo=tz)

    monkeypatch.setattr(fleet_messages, "datetime", Noon)
    for text in ("2026-11-20", "2026-11-27", "2026-11-28"):
        (day,) = parse_message(DeviceUsage, USAGE, usage(day=text)).days
        assert str(day.day) == text
    for text in ("2026-11-29", "2028-01-01"):
        assert refusal(usage(day=text)) == f"days.0.day: is in the future, not '{text}'"


def test_what_is_wrong_with_a_message_is_said_with_its_place() -> None:
    trial = {"model": "m@1", "passed": True, "reason": ""}
    said = {**state().model_dump(mode="json"), "trials": [trial, trial]}
    assert refusal_of_state(said).startswith("trials: has several trials of one model")
    said["trials"] = [trial, {**trial, "model": "m@2"}]
    assert len(parse_message(DeviceState, TOPIC, as_json(said)).trials) == 2
    said["problem"] = "\x1b[2J"
    assert refusal_of_state(said).startswith("problem: has characters that cannot be shown, not ")
    assert refusal(usage(frames=-1)).startswith("days.0.frames: ")
    assert refusal_of_state({**said, "problem": "", "id": "hall"}) == "says that it is from hall"


def test_a_message_may_have_32_kilobytes_and_not_one_byte_more() -> None:
    content = usage().ljust(MOST_BYTES)
    assert parse_message(DeviceUsage, USAGE, content).id == "kitchen"
    assert refusal(content + b" ") == "has 32769 bytes, more than 32768"


def test_only_a_plain_word_names_a_device() -> None:
    for name in ("kitchen", "0123456789ab", "x" * 64):
        assert is_id(name)
    for name in ("", "a/b", "a b", "+", "#", "x" * 65, "kitchen\n"):
        assert not is_id(name)


# When it is said


def test_an_unchanged_state_is_due_once_per_hour_and_devices_spread() -> None:
    dues = []
    for seed in range(300):
        schedule = Schedule(3600, random.Random(seed))  # noqa: S311
        assert schedule.is_due(0, 1)
        schedule.done(0)
        due = next(second for second in range(0, 5000, 10) if schedule.is_due(second, 1))
        assert 3240 <= due <= 3970
        dues.append(due)
    assert max(dues) - min(dues) > 600
    assert len(set(dues)) > 50


def test_after_a_reconnection_it_is_due_again_within_half_a_minute() -> None:
    waits = []
    for seed in range(100):
        schedule = Schedule(3600, random.Random(seed))  # noqa: S311
        schedule.is_due(0, 1)
        schedule.done(0)
        waits.append(next(second for second in range(100, 5000) if schedule.is_due(second, 2)) - 100)
    assert max(waits) <= 31
    assert len(set(waits)) > 15


# A running device


def config_of(tmp_path: Path, broker: Broker, *lines: str) -> Path:
    path = tmp_path / "config.toml"
    text = ["[mqtt]", f'host = "127.0.0.1:{broker.port}"', "[fleet]", "enabled = true", 'id = "kitchen"', *lines]
    path.write_text("\n".join(text))
    return path


def test_a_run_tells_its_state_and_its_end(command: Run, broker: Broker, tmp_path: Path) -> None:
    listener = Listener(broker.port)
    models = tmp_path / "models"
    done = command(
        "fer-edge", "run", "demo", "--max-frames", 60, "--config", config_of(tmp_path, broker, *UPDATES),
        env={"FER_EDGE_MODELS": str(models), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "this device is kitchen in its fleet" in done.stderr
    wait_until(lambda: bool(listener.on("kitchen/state")) and not listener.latest("kitchen/state")["running"])
    said = [parse_message(DeviceState, TOPIC, content) for content in listener.on("kitchen/state")]
    listener.close()
    late = Listener(broker.port)  # the last state is retained
    wait_until(lambda: bool(late.on("kitchen/state")))
    assert parse_message(DeviceState, TOPIC, late.on("kitchen/state")[0]) == said[-1]
    late.close()
    assert said[0].running
    assert said[-1].model == "ferplus7@0.1.0"
    assert (said[-1].channel, said[-1].tags) == ("beta", ("lobby",))
    assert not said[-1].running
    assert not said[-1].camera


@pytest.fixture
def device(broker: Broker, quick: None) -> FleetState:  # noqa: ARG001
    mqtt = Mqtt(MqttConfig.model_validate({"host": f"127.0.0.1:{broker.port}"}))
    return FleetState(mqtt, Facts("kitchen", "Pi 4", "0.1.0", "ferplus7@0.2.0"), Readings(drift=lambda: "ok"))


def wait_for_looks(device: FleetState, count: int) -> None:
    """Wait until it has looked at its state so many times; each look begins to count frames anew."""
    for _ in range(count):
        before = device._counted_at
        wait_until(lambda: device._counted_at != before)  # noqa: B023


def test_a_change_is_said_once(device: FleetState, broker: Broker) -> None:
    listener = Listener(broker.port)
    with device._mqtt, device:
        wait_until(lambda: bool(listener.on("kitchen/state")))
        device.remark("the image is black")
        wait_until(lambda: listener.latest("kitchen/state")["problem"] == "the image is black")
        wait_for_looks(device, 5)
    wait_until(lambda: not listener.latest("kitchen/state")["running"])
    assert len(listener.on("kitchen/state")) == 3, "the last one says that it has ended"
    listener.close()


def test_the_frames_of_each_look_are_counted_anew(
    device: FleetState, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_state, "_INTERVAL_S", 0.3)  # of shorter times no rate is said
    listener = Listener(broker.port)
    with device._mqtt, device:
        wait_until(lambda: device._told is not None)
        for _ in range(100):
            device.emit(frame(0, 0.0))
        wait_for_looks(device, 2)
        device.remark("the image is black")
        wait_until(lambda: (listener.latest("kitchen/state") or {}).get("problem") == "the image is black")
        assert listener.latest("kitchen/state")["camera"]
        assert listener.latest("kitchen/state")["fps"] == 0
    listener.close()


def test_a_broker_that_forgot_hears_it_again(device: FleetState, broker: Broker) -> None:
    with device._mqtt, device:
        wait_until(lambda: device._told is not None)
        broker.stop()  # it keeps nothing on disk
        broker.start()
        listener = Listener(broker.port)
        wait_until(lambda: bool(listener.on("kitchen/state")))
        listener.close()


def test_a_change_without_a_connection_is_said_later(device: FleetState, broker: Broker) -> None:
    with device._mqtt, device:
        wait_until(lambda: device._told is not None)
        broker.stop()
        wait_until(lambda: bool(device._mqtt.trouble))
        device.remark("the image is black")
        wait_for_looks(device, 2)
        broker.start()
        listener = Listener(broker.port)
        wait_until(lambda: (listener.latest("kitchen/state") or {}).get("problem") == "the image is black")
        listener.close()


class FleetClock(Clock):
    """Stands still, and knows the calendar."""

    def mktime(self, day: time.struct_time) -> float:
        return time.mktime(day)


@pytest.fixture
def clock(quick: None, monkeypatch: pytest.MonkeyPatch) -> FleetClock:  # noqa: ARG001
    """The clock of a device that looks at its state once, at the start."""
    clock = FleetClock()
    monkeypatch.setattr(fleet_state, "time", clock)
    monkeypatch.setattr(fleet_state, "_INTERVAL_S", 600.0)
    return clock


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker.port)
    yield listener
    listener.close()


def connected(broker: Broker) -> Mqtt:
    return Mqtt(MqttConfig.model_validate({"host": f"127.0.0.1:{broker.port}"}))


def broken(description: str, trouble: str) -> Sink:
    """An output that does not work, or does."""
    sink = Sink()
    sink.description, sink.trouble = description, trouble
    return sink


def write_usage(path: Path, *days: int) -> None:
    """A usage record with an hour of some days, so many days ago."""
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
    with UsageStore(path, ModelIdentity("ferplus7", "0.2.0", "x")) as store:
        for ago in days:
            store.append(int((noon - timedelta(days=ago)).timestamp()), Period(frames=100 + ago, people=ago))


def test_a_device_tells_all_that_is_known_of_it(
    broker: Broker, listener: Listener, clock: FleetClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_usage(tmp_path / "usage.db", 2, 1)
    tags = ("lob\nby", *(f"tag{number}" for number in range(24)))
    facts = Facts("kitchen", "Pi\x1b 4" + "!" * 300, "0.1.0", "mine@2", "beta", tags, tmp_path / "usage.db")
    readings = Readings(lambda: 51.5, lambda: "watch\n", lambda: 81.26, lambda: "mine 3 is\tmeant for this device.")
    mqtt = connected(broker)
    device = FleetState(mqtt, facts, readings)
    with mqtt, device:
        wait_until(lambda: bool(listener.on("kitchen/state")) and bool(listener.on("kitchen/usage")))
        clock.now += 3
        for _ in range(100):
            device.emit(frame(0, 0.0))
        device.watch([broken("the screen", "no monitor"), broken("the file", ""), broken("the page", "port in use")])
        device.remark("the image is black")
    assert "this device is kitchen in its fleet" in caplog.messages

    wait_until(lambda: not listener.latest("kitchen/state")["running"])
    first, last = (parse_message(DeviceState, TOPIC, content) for content in listener.on("kitchen/state"))
    for told in (first, last):
        assert (told.id, told.software, told.model, told.channel) == ("kitchen", "0.1.0", "mine@2", "beta")
        assert told.board == "Pi  4" + "!" * 295
        assert told.tags == ("lob by", *(f"tag{number}" for number in range(19)))
        assert (told.celsius, told.drift, told.expected_accuracy) == (51.5, "watch ", 81.3)
        assert told.decision == "mine 3 is meant for this device."
        assert abs(told.time - datetime.now(UTC)) < timedelta(minutes=5)
        assert told.time.microsecond == 0
        assert (told.on_trial, told.trials) == (None, ())
    assert (first.running, first.camera, first.fps, first.problem) == (True, False, 0.0, "")
    assert (last.running, last.camera, last.fps) == (False, False, 33.3)
    assert last.problem == "the screen: no monitor; the page: port in use; the image is black"

    (content,) = listener.on("kitchen/usage")
    counts = parse_message(DeviceUsage, USAGE, content)
    assert counts.drift == "watch "
    assert [day.frames for day in counts.days] == [102, 101]


def test_what_is_unknown_is_left_out(broker: Broker, listener: Listener, clock: FleetClock) -> None:
    mqtt = connected(broker)
    with mqtt, FleetState(mqtt, Facts("kitchen", "Pi 4", "0.1.0", "mine@2"), Readings()) as device:
        wait_until(lambda: bool(listener.on("kitchen/state")))
        device.watch([broken("the screen", "no monitor")])
    told = parse_message(DeviceState, TOPIC, listener.on("kitchen/state")[0])
    assert (told.channel, told.tags, told.problem, told.decision, told.drift) == ("", (), "", "", "")
    assert told.celsius is told.expected_accuracy is None
    assert listener.on("kitchen/usage") == []
    wait_until(lambda: not listener.latest("kitchen/state")["running"])
    assert listener.latest("kitchen/state")["problem"] == "the screen: no monitor"
    del clock


def test_the_model_on_trial_and_the_ended_trials_are_told(
    broker: Broker, listener: Listener, clock: FleetClock
) -> None:
    model = ModelId("ferplus7-tiny")
    with Slots().lock():
        Slots().use(model, "use")
    TrialRecord().ended(Verdict("m@1", 1, False, "too slow", 1.0)).begun(model, 2).write(record_path())
    mqtt = connected(broker)
    with mqtt, FleetState(mqtt, Facts("kitchen", "Pi 4", "0.1.0", str(model)), Readings()):
        wait_until(lambda: bool(listener.on("kitchen/state")))
    told = listener.latest("kitchen/state")
    assert told["on_trial"] == str(model)
    assert told["trials"] == [{"model": "m@1", "passed": False, "reason": "too slow"}]
    del clock


def test_a_camera_that_is_lost_and_found_is_told(device: FleetState, listener: Listener) -> None:
    def is_there() -> object:
        return (listener.latest("kitchen/state") or {}).get("camera")

    with device._mqtt, device:
        device.waiting("camera")
        wait_until(lambda: is_there() is False)
        device.emit(frame(0, 0.0))
        wait_until(lambda: is_there() is True)
        device.waiting("camera")
        wait_until(lambda: is_there() is False)


def test_the_counts_are_told_once_per_day(
    broker: Broker, listener: Listener, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Tomorrow":
            real = datetime.now(tz) + timedelta(days=1)
            return cls(*real.timetuple()[:6], tzinfo=real.tzinfo)

    write_usage(tmp_path / "usage.db", 1, 0)
    mqtt = connected(broker)
    device = FleetState(mqtt, Facts("kitchen", "Pi 4", "0.1.0", "mine@2", usage=tmp_path / "usage.db"), Readings())

    def told() -> list[list[int]]:
        return [[day["frames"] for day in json.loads(each)["days"]] for each in listener.on("kitchen/usage")]

    with mqtt, device:
        wait_until(lambda: bool(told()))
        wait_for_looks(device, 3)
        assert told() == [[101]]
        with monkeypatch.context() as patch:
            patch.setattr(fleet_state, "datetime", Tomorrow)
            wait_until(lambda: len(told()) > 1)
            wait_for_looks(device, 3)
            assert told() == [[101], [101, 100]]
    del quick


# What it reads


def test_trials_are_read_from_the_devices_record(quick: None) -> None:  # noqa: ARG001
    assert read_trials() == (None, ())
    record = TrialRecord()
    for number, (model, passed) in enumerate([("m@1", False), ("m@2", True), ("m@1", True)]):
        record = record.ended(Verdict(model, number, passed, f"reason\n{number}", float(number)))
    record.write(record_path())
    on_trial, trials = read_trials()
    assert on_trial is None
    assert [(trial.model, trial.passed, trial.reason) for trial in trials] == [
        ("m@2", True, "reason 1"),
        ("m@1", True, "reason 2"),
    ]


def test_the_last_ten_trials_are_said_and_the_one_of_the_model_in_use(quick: None) -> None:  # noqa: ARG001
    record = TrialRecord()
    for number in range(12):
        record = record.ended(Verdict(f"m@{number}", number, True, "", float(number)))
    record.begun(ModelId("m", "12"), 12).write(record_path())
    on_trial, trials = read_trials()
    assert on_trial is None, "another model is in use"
    assert [trial.model for trial in trials] == [f"m@{number}" for number in range(2, 12)]
    with Slots().lock():
        Slots().use(ModelId("ferplus7-tiny"), "use")
    record.begun(ModelId("ferplus7-tiny"), 13).write(record_path())
    assert read_trials()[0] == "ferplus7-tiny"


def test_the_counts_of_whole_days_are_said(tmp_path: Path) -> None:
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).astimezone()
    with UsageStore(tmp_path / "usage.db", ModelIdentity("ferplus7", "0.2.0", "x")) as store:
        for days in range(10, -1, -1):
            period = Period(frames=100 + days, people=days)
            period.face_s["happy"] = 3.5
            period.observe("brightness", 100)
            store.append(int((today - timedelta(days=days) + timedelta(hours=12)).timestamp()), period)
    found = usage_days(tmp_path / "usage.db", today.date())
    assert [day.frames for day in found] == [107, 106, 105, 104, 103, 102, 101]
    assert found[-1].day == date.fromordinal(today.toordinal() - 1)
    assert found[-1].face_s == {"happy": 3.5}
    assert found[-1].means["brightness"] == pytest.approx(100, abs=10)
    assert found[-1].model == "ferplus7@0.2.0"
    assert usage_days(tmp_path / "nothing.db", today.date()) == ()


def test_the_name_of_a_device(tmp_path: Path) -> None:
    assert len(fleet_id(RunConfig())) == 12
    path = tmp_path / "config.toml"
    path.write_text('[mqtt]\nhost = "broker"\nusername = "hall"\n[fleet]\nenabled = true\n')
    assert fleet_id(load_config(path, {}, {})) == "hall"
    path.write_text(path.read_text() + 'id = "kitchen"\n')
    assert fleet_id(load_config(path, {}, {})) == "kitchen"


@pytest.mark.parametrize("user", ["a/#", "me@home", "a b", "+", "x" * 65])
def test_a_user_that_cannot_name_a_device_is_said_before_the_run(command: Run, tmp_path: Path, user: str) -> None:
    path = tmp_path / "config.toml"
    text = f'[mqtt]\nhost = "broker"\nusername = "{user}"\n[fleet]\nenabled = true\n'
    path.write_text(text)
    done = command("fer-edge", "config", "--check", path)
    assert done.returncode == 2
    assert f"mqtt.username {user} cannot name a device: set fleet.id" in done.stderr
    path.write_text(f'{text}id = "kitchen"\n')
    assert load_config(path, {}, {}).mqtt.username == user
    path.write_text(text.replace("true", "false"))
    assert load_config(path, {}, {}).mqtt.username == user


def test_the_fleet_needs_a_broker(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[fleet]\nenabled = true\n")
    done = command("fer-edge", "config", "--check", path)
    assert done.returncode == 2
    assert "needs a broker: set mqtt.host" in done.stderr
