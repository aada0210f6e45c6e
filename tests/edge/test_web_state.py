"""What the live page shows of a run: numbers, times, and how often it looks for them."""

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.clock import Clock
from tests.conftest import wait_until

from fer_edge import __version__
from fer_edge.device.thermal import Heat
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.drift import DriftReport
from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import ModelIdentity, UsageStore
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sinks import Sink
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.updates.latest import Latest, write_latest
from fer_edge.updates.request import REQUEST_VARIABLE
from fer_edge.web.state import LiveState
from fer_edge.web.today import Today

MANIFEST = load_bundle(find_bundle("ferplus7-tiny")).manifest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The state's clock, 1000 s after the start of the machine."""
    clock = Clock(1000.26)
    monkeypatch.setattr("fer_edge.web.state.time", clock)
    monkeypatch.setattr("fer_edge.web.today.time", clock)
    return clock


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without models of its own."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def face(identity: int, label: str = "happy", *, visible: bool = True) -> TrackedFace:
    share = np.full(7, 0.05123, np.float32)
    share[MANIFEST.labels.index(label)] = 0.69262
    read = Prediction(share, label, 0.69262)
    return TrackedFace(Track(identity, FaceBox(0, 0, 20, 20, 0.9), 1.0, 0.0, visible), read, read)


def seen(at: float, *faces: TrackedFace, live: bool = True) -> FrameResult:
    return FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), at, live=live), faces, {})


def test_before_the_first_frame_it_starts(clock: Clock) -> None:
    state = LiveState(MANIFEST, "camera 0").as_dict()
    assert (state["camera"], state["camera_remark"], state["frames"], state["fps"]) == ("starting", "", 0, 0.0)
    assert (state["faces"], state["timeline"], state["outputs"]) == ([], {"step_s": 5, "steps": []}, [])
    assert (state["source"], state["version"]) == ("camera 0", __version__)
    assert state["started_at"] == round(clock.time(), 1)
    assert state["latency_ms"] == 0.0
    assert state["model"] == {
        "name": "ferplus7-tiny",
        "version": MANIFEST.version,
        "latest": None,
        "can_update": False,
        "updating": False,
        "labels": list(MANIFEST.labels),
    }
    assert [state[name] for name in ("usage", "drift", "expected_accuracy")] == [None, None, None]


def test_a_face_has_its_label_its_shares_and_the_time_it_is_in_view(clock: Clock) -> None:
    state = LiveState(MANIFEST, "camera 0")
    state.update(seen(clock.now, face(3)))
    clock.now += 2.26
    state.update(seen(clock.now - 0.1234, face(3), face(4, "sad"), face(5, visible=False)))
    first, second = state.as_dict()["faces"]
    assert first == {
        "id": 3,
        "label": "happy",
        "confidence": 0.693,
        "probabilities": {label: 0.693 if label == "happy" else 0.051 for label in MANIFEST.labels},
        "in_view_s": 2.3,
    }
    assert (second["id"], second["label"], second["in_view_s"]) == (4, "sad", 0.0)
    assert state.as_dict()["latency_ms"] == 123.4
    clock.now += 1
    state.update(seen(0.0, face(4), live=False))
    assert [one["in_view_s"] for one in state.as_dict()["faces"]] == [1.0]
    assert state.as_dict()["latency_ms"] == 123.4, "a file has none"


def test_frames_per_second_are_those_of_the_last_sixty(clock: Clock) -> None:
    state = LiveState(MANIFEST, "camera 0")
    for pause in [1.0] * 20 + [0.04] * 59:
        clock.now += pause
        state.update(seen(clock.now))
    assert state.as_dict()["fps"] == 25.0
    clock.now += 0.03
    state.update(seen(clock.now))
    assert state.as_dict()["fps"] == 25.1
    assert state.as_dict()["frames"] == 80
    clock.now += 1.0
    assert state.as_dict()["fps"] == 25.1
    clock.now += 0.1
    assert state.as_dict()["fps"] == 0.0, "no frame for more than a second"


def test_the_timeline_adds_seconds_per_label_in_steps_of_five(clock: Clock) -> None:
    state = LiveState(MANIFEST, "camera 0")
    for _ in range(8):
        state.update(seen(clock.now, face(1), face(2, "sad")))
        clock.now += 1.0
    steps = state.as_dict()["timeline"]["steps"]
    assert steps == [{"happy": 4.0, "sad": 4.0}, {"happy": 3.0, "sad": 3.0}]
    clock.now += 10.0
    state.update(seen(clock.now, face(1)))
    steps = state.as_dict()["timeline"]["steps"]
    assert steps[2:] == [{}, {"happy": 1.0}], "a gap counts as one second, and its steps are there"
    clock.now += 4000.0
    state.update(seen(clock.now, face(1)))
    steps = state.as_dict()["timeline"]["steps"]
    assert (len(steps), steps[-1], any(steps[:-1])) == (120, {"happy": 1.0}, False)


def test_a_lost_camera_has_no_faces_and_is_alive(clock: Clock) -> None:
    state = LiveState(MANIFEST, "camera 0")
    state.update(seen(clock.now, face(1)))
    state.remark("the image is black")
    for pause, well in ((14.9, True), (0.1, False)):
        clock.now += pause
        assert state.is_well() is well
    state.wait("camera 0")
    shown = state.as_dict()
    assert (shown["camera"], shown["camera_remark"], shown["faces"]) == ("offline", "the image is black", [])
    assert state.is_well()
    clock.now += 1.0
    state.update(seen(clock.now, face(1)))
    assert state.as_dict()["camera"] == "online"
    assert state.as_dict()["faces"][0]["in_view_s"] == 0.0


def test_viewers_are_told_of_faces_labels_and_the_camera_alone(clock: Clock) -> None:
    state = LiveState(MANIFEST, "camera 0")

    def changes(change: Callable[[], None]) -> bool:
        before = state.version
        clock.now += 0.1
        change()
        assert state.version - before in {0, 1}
        return state.version > before

    assert changes(lambda: state.update(seen(clock.now)))
    assert changes(lambda: state.update(seen(clock.now, face(1))))
    assert not changes(lambda: state.update(seen(clock.now, face(1))))
    assert changes(lambda: state.update(seen(clock.now, face(1, "sad"))))
    assert changes(lambda: state.update(seen(clock.now, face(2, "sad"))))
    assert changes(lambda: state.remark("the image is black"))
    assert not changes(lambda: state.remark("the image is black"))
    assert changes(lambda: state.wait("camera 0"))
    assert not changes(lambda: state.wait("camera 0"))


def test_the_text_is_written_anew_after_half_a_second_or_a_change(clock: Clock) -> None:
    state = LiveState(MANIFEST, "camera 0")
    first = state.as_json()
    assert b", " not in first
    assert json.loads(first)["frames"] == 0
    state.update(seen(clock.now))
    changed = state.as_json()
    assert json.loads(changed)["frames"] == 1
    clock.now += 0.4
    state.update(seen(clock.now))
    assert state.as_json() is changed
    clock.now += 0.1
    assert json.loads(state.as_json())["frames"] == 2


def test_the_temperature_is_read_every_ten_seconds(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    heats = iter([Heat(41.0, 0), Heat(42.0, 0)])
    monkeypatch.setattr("fer_edge.web.state.read_heat", lambda: next(heats))
    state = LiveState(MANIFEST, "camera 0")
    for pause, celsius in ((0.0, 41.0), (9.9, 41.0), (0.1, 42.0)):
        clock.now += pause
        assert state.as_dict()["temperature_celsius"] == celsius


def test_the_latest_version_is_that_of_this_model_and_read_every_minute(clock: Clock, models: Path) -> None:
    state = LiveState(MANIFEST, "camera 0")

    def latest(pause: float, name: str, version: str) -> str | None:
        clock.now += pause
        write_latest(Latest(name, "0.1.0", version, "", 0.0), models)
        return state.as_dict()["model"]["latest"]  # type: ignore[no-any-return]

    assert latest(0.0, MANIFEST.name, "0.2.0") == "0.2.0"
    assert latest(59.9, MANIFEST.name, "0.3.0") == "0.2.0"
    assert latest(0.1, MANIFEST.name, "0.4.0") == "0.4.0"
    assert latest(60.0, "another", "9.0.0") is None


def test_an_update_that_was_asked_for_is_shown_where_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "request"
    monkeypatch.setenv(REQUEST_VARIABLE, str(asked))

    def model(starts_updates: bool) -> tuple[bool, bool]:
        shown = LiveState(MANIFEST, "camera 0", starts_updates=starts_updates).as_dict()["model"]
        return shown["can_update"], shown["updating"]

    assert (model(True), model(False)) == ((True, False), (False, False))
    asked.touch()
    assert (model(True), model(False)) == ((True, True), (False, False))


def test_outputs_tell_their_trouble() -> None:
    class Output(Sink):
        def emit(self, result: FrameResult) -> None:
            """Nothing."""

    well, ill = Output(), Output()
    well.description, ill.description, ill.trouble = "CSV to a.csv", "MQTT", "no broker"
    state = LiveState(MANIFEST, "camera 0")
    state.watch([well, ill])
    assert state.as_dict()["outputs"] == [
        {"name": "CSV to a.csv", "trouble": ""},
        {"name": "MQTT", "trouble": "no broker"},
    ]


def test_today_is_read_once_a_minute_from_the_record_of_the_run(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    store = UsageStore(tmp_path / "usage.sqlite", ModelIdentity("m", "1", "0"))
    recorder = UsageRecorder(store, "the record")
    with store:
        store.append(int(midnight.timestamp()) - 60, Period(people=5))
        store.append(int(midnight.timestamp()), Period(people=2, face_s=defaultdict(float, happy=3.0)))
        today = Today([Sink(), recorder])
        known = {"since": midnight.isoformat(), "people": 2, "face_s": {"happy": 3.0}}
        wait_until(lambda: today.usage() is not None)
        assert today.usage() == known
        store.append(int(midnight.timestamp()) + 60, Period(people=1))
        clock.now += 59.9
        assert today.usage() == known
        clock.now += 0.1
        wait_until(lambda: today.usage() == known | {"people": 3})
    monkeypatch.setattr(UsageRecorder, "drift", DriftReport("watch", (), "more faces are sad"))
    assert today.drift() == {"state": "watch", "reason": "more faces are sad"}
    expected = ExpectedAccuracy(0.8, 0.7, 0.9, True, "faces look like those")
    monkeypatch.setattr(UsageRecorder, "expected_accuracy", expected)
    assert today.expected_accuracy() == expected.as_dict()
    monkeypatch.setattr(UsageRecorder, "expected_accuracy", None)
    assert today.expected_accuracy() is None


def test_a_day_without_a_minute_has_nobody(tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "usage.sqlite", ModelIdentity("m", "1", "0"))
    with store:
        today = Today([UsageRecorder(store, "the record")])
        wait_until(lambda: today.usage() is not None)
        shown = today.usage()
    assert shown is not None
    assert (shown["people"], shown["face_s"]) == (0, {})


def test_without_a_record_there_is_no_today() -> None:
    today = Today([Sink()])
    assert (today.usage(), today.drift(), today.expected_accuracy()) == (None, None, None)
