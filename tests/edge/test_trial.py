"""The trial of a new model: what a bad one does to the service, and that it goes back by itself."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from tests.bundles import make_bundle, make_mislabelled, make_useless, no_probe
from tests.conftest import wait_until
from tests.notify import Notifications

from fer_edge.assets.composites import load_composites
from fer_edge.config import RunConfig
from fer_edge.model.bundle import current_bundle, find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import Progress, TrialRecord, failed_models
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.expected_accuracy import chance_right
from fer_edge.pipeline import Pipeline
from fer_edge.sinks import StopRun
from fer_edge.sources.demo import DemoSource
from fer_edge.types import FaceBox, Frame, FrameResult, Image, Prediction, Track, TrackedFace
from fer_edge.updates.comparison import Comparison
from fer_edge.updates.install import install_bundle
from fer_edge.updates.trial import Trial, open_trial

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
FACE = load_composites()["happy"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service's folder for data, with the folder of models; the environment is that of a service."""
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("FER_EDGE_MODELS", str(folder / "models"))
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return folder


def choose(bundle: Path, why: str = "install") -> ModelId:
    """Install a bundle, and let it be the current model."""
    slots = Slots()
    with slots.lock():
        model = install_bundle(bundle, slots, probe=no_probe).model
        slots.use(model, why)
    return model


class Minutes:
    """A clock for which each frame takes a second."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def live(
    config: RunConfig, frames: int = 400, slower: float = 1.0, clock: Minutes | None = None
) -> Iterator[tuple[Trial, FrameResult]]:
    """A service's run on every sixth frame of the demo, with the trial of the model that was chosen last."""
    clock, slots = clock or Minutes(), Slots()
    switch, old = slots.in_effect(), next(iter(slots.earlier()), ModelId("ferplus7"))
    assert switch is not None
    with Trial(config, ModelId.parse(switch.model), switch, old, clock=clock) as trial, Pipeline(config) as pipeline:
        trial.begin(pipeline.model, 30.0)
        with DemoSource(paced=False) as source:
            for frame in source:
                if frame.index % 6:
                    continue
                clock.now += 1
                result = pipeline.process(frame)
                timings = {stage: slower * ms for stage, ms in result.timings_ms.items()}
                yield trial, replace(result, timings_ms=timings)
                if frame.index >= 6 * frames:
                    return


def run_trial(config: RunConfig | None = None, **options: float) -> Trial:
    """Run until the trial is over."""
    trial = None
    for trial, result in live(config or RunConfig(), **options):  # type: ignore[arg-type]
        try:
            trial.emit(result)
        except StopRun:
            break
        if not trial.note:
            break
    assert trial is not None
    return trial


def minutes(count: float) -> RunConfig:
    return RunConfig.model_validate({"updates": {"trial_minutes": count}})


def test_a_good_model_passes_and_stays(state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = choose(make_bundle(tmp_path / "a", base="ferplus8"))
    trial = run_trial(minutes(3))
    assert trial.failure == ""
    (verdict,) = TrialRecord.read(state / "trials" / "default.json").verdicts
    assert (verdict.model, verdict.passed) == ("mine@2", True)
    faces = re.fullmatch(r"3 minutes, (\d+) faces compared with ferplus7", verdict.reason)
    assert faces is not None
    assert 170 < int(faces[1]) <= 180, "one per second, from the first that is shown on"
    assert "model mine@2 passed its trial" in caplog.text
    assert current_bundle().folder == Slots().path(model)
    assert open_trial(RunConfig()) is None


@pytest.mark.parametrize(
    ("spoil", "base", "why"),
    [
        (make_useless, "ferplus7-tiny", "its expected accuracy is "),
        (make_useless, "ferplus7", "its expected accuracy is "),
        (make_mislabelled, "ferplus7", "it agrees with the model before on "),
    ],
)
def test_a_model_that_is_useless_on_real_faces_is_sent_back(
    state: Path, tmp_path: Path, spoil: Callable[[Path], None], base: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    choose(make_bundle(tmp_path / "good", "1"), "rollback")
    bundle = make_bundle(tmp_path / "bad", base=base)
    spoil(bundle)
    choose(bundle)
    assert current_bundle().manifest.version == "2"
    trial = run_trial()
    assert trial.failure.startswith(f"model mine@2 failed its trial: {why}")
    assert f"{trial.failure}. The model before it is used: mine@1" in caplog.text
    assert current_bundle().manifest.version == "1"
    assert failed_models()["mine@2"] in trial.failure
    assert open_trial(RunConfig()) is None
    with Slots().lock():
        Slots().use(ModelId("mine", "2"), "use")  # a person insists
    assert current_bundle().manifest.version == "2"
    assert open_trial(RunConfig()) is not None
    del state


def test_a_model_with_another_crop_is_judged_alone(
    state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    margin = load_bundle(find_bundle("ferplus7-tiny")).manifest.crop_margin + 0.05
    choose(make_bundle(tmp_path / "wide", crop_margin=margin))
    trial = run_trial(minutes(1))
    assert "is judged alone, not compared with ferplus7: their crop_margin or colours differ" in caplog.text
    verdict = TrialRecord.read(state / "trials" / "default.json").verdicts[-1]
    assert (trial.failure, verdict.passed) == ("", True)
    assert verdict.reason.endswith("faces seen, none compared")
    assert int(verdict.reason.split()[2]) >= 120

    failures = []
    useless = make_bundle(tmp_path / "useless", "3", crop_margin=margin)
    make_useless(useless)
    for bundle in (useless, make_bundle(tmp_path / "slow", "4", crop_margin=margin)):
        with Slots().lock():
            Slots().use(ModelId("ferplus7"), "use")
        choose(bundle)
        failures.append(run_trial(minutes(1), slower=1e4 if bundle != useless else 1.0).failure)
    assert "its expected accuracy is " in failures[0]
    assert "frames per second, and 5 are the least" in failures[1]


def test_nothing_is_compared_with_a_revoked_model(
    state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    choose(make_bundle(tmp_path / "a"))
    with Slots().lock():
        Slots().revoke({"ferplus7@0.1.0": "poisoned"})
    for _ in live(minutes(1), frames=1):
        pass
    assert "is judged alone, not compared with ferplus7: it was revoked" in caplog.text
    del state


def test_nobody_in_view_is_no_proof(state: Path, tmp_path: Path) -> None:
    choose(make_bundle(tmp_path / "a"))
    for trial, result in live(minutes(1), frames=100):
        trial.emit(replace(result, faces=()))
        assert trial.note
    progress = TrialRecord.read(state / "trials" / "default.json").progress
    assert progress is not None
    assert progress.seconds == pytest.approx(100, abs=1)
    assert (progress.faces, progress.boot) == (0, "")


class ThreeTimesAsSlow(Classifier):
    """Does its work three times."""

    def predict(self, crop: Image) -> Prediction:
        super().predict(crop)
        super().predict(crop)
        return super().predict(crop)


def test_a_model_three_times_as_slow_is_told_from_one_that_is_as_fast() -> None:
    bundle = load_bundle(find_bundle("ferplus7"))
    fast, slow = (Classifier(bundle), bundle.manifest), (ThreeTimesAsSlow(bundle), bundle.manifest)
    faces = list(load_composites().values())
    slower, equal = Comparison(slow, fast, 0.35), Comparison(fast, fast, 0.35)
    for index in range(140):
        slower.add(faces[index % 7])
        equal.add(faces[index % 7])
    assert slower.problem() is None
    own_ms = 3 * median(equal._sums["old"].ms)
    assert "frames per second, and the model before " in str(slower.speed_problem(own_ms, 1.0, 1e9))
    assert slower.speed_problem(own_ms, 1.0, 200 / own_ms) is None, "both are faster than the camera"
    assert equal.speed_problem(own_ms, 1.0, 1e9) is None


class AsTold(Classifier):
    """Reads in every face what it is told, and is as sure of it as it is told."""

    label, confidence = "happy", 1.0

    def predict(self, crop: Image) -> Prediction:
        return replace(super().predict(crop), label=self.label, confidence=self.confidence)


def told_models() -> tuple[AsTold, AsTold, Comparison]:
    """Two models, the new one first, and their comparison; nothing estimates their accuracy but their confidence."""
    bundle = load_bundle(find_bundle("ferplus7-tiny"))
    manifest = bundle.manifest.model_copy(update={"reference": None})
    new, old = AsTold(bundle), AsTold(bundle)
    return new, old, Comparison((new, manifest), (old, manifest), 0.35)


@pytest.mark.parametrize(
    ("new", "old", "faces", "problem"),
    [
        (0.33, 0.36, 120, "100% of its labels are uncertain, and 0% of the model's before"),
        (0.36, 0.33, 120, None),
        (0.60, 0.66, 120, "its expected accuracy is 60%, and 66% with the model before, on the same faces"),
        (0.60, 0.66, 119, None),
        (0.62, 0.66, 120, None),
    ],
)
def test_a_model_that_is_less_sure_of_the_same_faces_is_worse(
    new: float, old: float, faces: int, problem: str | None
) -> None:
    newer, older, comparison = told_models()
    newer.confidence, older.confidence = new, old
    for _ in range(faces):
        comparison.add(FACE)
    assert comparison.problem() == problem


@pytest.mark.parametrize(("new_has", "old_has"), [(True, True), (True, False), (False, True)])
def test_accuracy_is_estimated_from_the_faces_where_both_models_can(new_has: bool, old_has: bool) -> None:
    """Otherwise both by their confidence."""
    bundle = load_bundle(find_bundle("ferplus7-tiny"))
    with_one, without = bundle.manifest, bundle.manifest.model_copy(update={"reference": None})
    assert with_one.reference is not None
    new, old = AsTold(bundle), AsTold(bundle)
    new.confidence, old.confidence = 0.5, 0.9
    comparison = Comparison((new, with_one if new_has else without), (old, with_one if old_has else without), 0.35)
    for _ in range(120):
        comparison.add(FACE)
    right, before = (
        chance_right(with_one.reference.estimate, sure, crop_statistics(FACE)) if new_has and old_has else sure
        for sure in (0.5, 0.9)
    )
    told = f"its expected accuracy is {right:.0%}, and {before:.0%} with the model before, on the same faces"
    assert comparison.problem() == told


@pytest.mark.parametrize(
    ("confidence", "agreeing", "agreed"), [(0.9, 85, None), (0.9, 83, "69%"), (0.6, 49, None), (0.6, 47, "39%")]
)
def test_two_models_that_believe_to_be_good_must_agree(confidence: float, agreeing: int, agreed: str | None) -> None:
    """Right on 0.9 of the faces each, they agree on 0.8; less by 0.1 is allowed, and never less than 0.4."""
    new, old, comparison = told_models()
    new.confidence = old.confidence = confidence
    for index in range(120):
        new.label = "happy" if index < agreeing else "sad"
        comparison.add(FACE)
    told = f"it agrees with the model before on {agreed} of the faces, too few for two good models"
    assert comparison.problem() == (told if agreed else None)


def test_a_model_that_does_not_keep_up_with_the_camera_is_sent_back(state: Path, tmp_path: Path) -> None:
    choose(make_bundle(tmp_path / "fast", "1"), "rollback")
    choose(make_bundle(tmp_path / "slow", base="ferplus7"))
    failure = ""
    for trial, result in live(RunConfig()):
        comparison = trial._comparison
        assert comparison is not None
        comparison._sums["new"].ms, comparison._sums["old"].ms = [120.0], [40.0]
        try:
            trial.emit(replace(result, timings_ms={"detect": 10.0, "classify": 120.0}))
        except StopRun:
            failure = trial.failure
            break
    assert "it allows 7.7 frames per second, and the model before " in failure
    assert TrialRecord.read(state / "trials" / "default.json").verdicts[-1].passed is False


def test_the_trial_goes_on_after_a_restart(state: Path, tmp_path: Path) -> None:
    choose(make_bundle(tmp_path / "a"))
    for _ in range(2):
        for trial, result in live(minutes(10), frames=70):
            trial.emit(result)
    progress = TrialRecord.read(state / "trials" / "default.json").progress
    assert progress is not None
    assert progress.seconds == pytest.approx(140, abs=2)
    assert progress.deaths == 0


def test_the_time_of_the_comparison_is_not_the_models(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of 0.4 seconds, and half a second for each face that both models read."""
    choose(make_bundle(tmp_path / "a"))
    clock, add = Minutes(), Comparison.add

    def add_slowly(comparison: Comparison, crop: Image) -> None:
        add(comparison, crop)
        clock.now += 0.5

    monkeypatch.setattr(Comparison, "add", add_slowly)
    for trial, result in live(minutes(10), frames=60, clock=clock):
        clock.now -= 0.6
        trial.emit(result)
    progress = TrialRecord.read(state / "trials" / "default.json").progress
    assert progress is not None
    assert progress.faces > 15
    assert progress.seconds == pytest.approx(0.4 * 61, abs=0.5)


def watch(trial: Trial, clock: Minutes, frames: int, *, ms: float = 20.0, faces: int = 1) -> None:
    """Frames of a second each, with so many faces."""
    prediction = Prediction(np.eye(7, dtype=np.float32)[3], "happy", 1.0, FACE)
    seen = [
        TrackedFace(Track(number, FaceBox(0, 0, 48, 48), 1.0, 0.0), prediction, prediction) for number in range(faces)
    ]
    for _ in range(frames):
        clock.now += 1
        trial.emit(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), tuple(seen), {"classify": ms}))


def on_trial(config: RunConfig, clock: Minutes) -> Trial:
    slots = Slots()
    switch = slots.in_effect()
    assert switch is not None
    return Trial(config, ModelId.parse(switch.model), switch, ModelId("ferplus7-tiny"), clock=clock)


def test_a_trial_lasts_its_minutes_and_until_it_saw_enough_faces(
    state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bundle, clock = load_bundle(make_bundle(tmp_path / "a")), Minutes()
    choose(bundle.folder)
    trial = on_trial(minutes(3), clock)
    trial.begin(bundle, 30.0)
    watch(trial, clock, 120)
    assert trial.note == "model mine@2 on trial for 2 of 3 minutes"
    watch(trial, clock, 59)
    assert trial.note
    watch(trial, clock, 1)
    (verdict,) = TrialRecord.read(state / "trials" / "default.json").verdicts
    assert (trial.note, verdict.reason) == ("", "3 minutes, 180 faces compared with ferplus7-tiny")
    assert "model mine@2 passed its trial" in caplog.messages
    assert open_trial(RunConfig()) is None
    with Slots().lock():
        Slots().use(ModelId("mine", "2"), "use")
    empty = on_trial(minutes(1), clock)
    empty.begin(bundle, 30.0)
    watch(empty, clock, 119, faces=0)
    watch(empty, clock, 119)
    assert empty.note
    watch(empty, clock, 1)
    assert not empty.note


@pytest.mark.parametrize(
    ("fps", "most", "fails"), [(30.0, None, True), (4.0, None, False), (30.0, 4.0, False), (0.0, None, True)]
)
def test_a_model_that_is_judged_alone_must_keep_up_with_what_is_wanted(
    state: Path, tmp_path: Path, fps: float, most: float | None, fails: bool
) -> None:
    """It allows 4.2 frames per second: too few, unless the camera delivers fewer, or fewer are asked for."""
    bundle, clock = load_bundle(make_bundle(tmp_path / "a", crop_margin=0.7)), Minutes()
    choose(bundle.folder)
    trial = on_trial(minutes(60).model_copy(update={"max_fps": most}), clock)
    trial.begin(bundle, fps)
    watch(trial, clock, 119, ms=240)
    if fails:
        with pytest.raises(StopRun):
            watch(trial, clock, 1, ms=240)
        assert trial.failure.endswith("it allows 4.2 frames per second, and 5 are the least")
    else:
        watch(trial, clock, 1, ms=240)
        assert trial.note
    del state


def test_a_model_may_die_as_often_as_the_one_before_it_and_once_more(state: Path, tmp_path: Path) -> None:
    choose(make_bundle(tmp_path / "a"))
    record, clock = state / "trials" / "default.json", Minutes()
    for usual, dies, why in (
        (0, 1, ""),
        (0, 2, "the process ended 2 times without closing"),
        (1, 2, ""),
        (1, 3, "the process ended 3 times without closing, and would have 1.0 times with the model before"),
    ):
        record.unlink(missing_ok=True)
        for _ in range(dies):
            on_trial(RunConfig(), clock)  # and nothing closes it
        known = TrialRecord.read(record)
        assert known.progress is not None
        began = known.progress.began - 1000  # a thousand seconds, so that the ones of this test do not count
        before = Progress("ferplus7-tiny", 0, deaths=usual, lived=1000.0)
        replace(known, usual=before, progress=replace(known.progress, began=began)).write(record)
        with on_trial(RunConfig(), clock) as trial:
            assert trial.failure == (f"model mine@2 failed its trial: {why}" if why else "")


def test_a_record_that_cannot_be_written_is_said_once(
    state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle, clock = load_bundle(make_bundle(tmp_path / "a")), Minutes()
    choose(bundle.folder)
    (state / "trials").write_text("no folder")
    trial = on_trial(minutes(10), clock)
    trial.begin(bundle, 30.0)
    watch(trial, clock, 130)
    path = state / "trials" / "default.json"
    assert [message for message in caplog.messages if "cannot be written" in message] == [
        f"{path}: cannot be written (File exists). A restart begins the trial again"
    ]
    assert trial.trouble == f"{path} cannot be written (File exists)"
    assert trial.description == "the trial of the model mine@2"
    (state / "trials").unlink()
    watch(trial, clock, 61)
    assert trial.trouble == ""
    assert path.is_file()


def start() -> subprocess.Popen[str]:
    return subprocess.Popen([FER_EDGE, "run", "demo"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_model_with_which_the_service_dies_twice_is_sent_back(state: Path, tmp_path: Path) -> None:
    systemd = Notifications(tmp_path)
    choose(make_bundle(tmp_path / "a", "1"), "rollback")
    choose(make_bundle(tmp_path / "b"))
    for _ in range(2):
        systemd.heard.clear()
        service = start()
        wait_until(lambda: systemd.hears("model mine@2 on trial for 0 of 30 minutes"))
        service.kill()
        service.communicate()
    systemd.heard.clear()
    service = start()
    wait_until(lambda: systemd.hears("the model mine@2: failed its trial, and the one before it is used: "))
    service.send_signal(signal.SIGTERM)
    _, said = service.communicate(timeout=180)
    assert service.returncode == 0
    assert "model mine@2 failed its trial: the process ended 2 times without closing" in said
    assert systemd.hears("the process ended 2 times without closing")
    assert failed_models(state / "models") == {"mine@2": "the process ended 2 times without closing"}
    assert current_bundle().manifest.version == "1"


@pytest.mark.parametrize(("deaths", "fails"), [(4, False), (5, True)])
def test_a_new_model_may_die_as_often_as_the_one_before(
    state: Path, tmp_path: Path, deaths: int, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = choose(make_bundle(tmp_path / "a"))
    switch = Slots().in_effect()
    assert switch is not None
    usual = Progress("ferplus7", 0, deaths=6, lived=3600)  # three in half an hour
    progress = Progress("mine@2", switch.serial, deaths=deaths, lived=1800)
    TrialRecord(progress=progress, usual=usual).write(state / "trials" / "default.json")
    with Trial(RunConfig(), model, switch, ModelId("ferplus7")) as trial:
        assert bool(trial.failure) is fails
    expected = "the process ended 5 times without closing, and would have 3.0 times with the model before"
    assert (expected in caplog.text) is fails
    with Trial(RunConfig(), model, switch, ModelId("ferplus8")) as trial:
        assert trial.failure or fails, "another model before it tells nothing"


def test_the_deaths_of_the_model_in_use_are_counted(state: Path, tmp_path: Path) -> None:
    systemd = Notifications(tmp_path)
    for kind in (signal.SIGKILL, signal.SIGTERM):
        systemd.heard.clear()
        service = start()
        wait_until(lambda: systemd.hears("FPS"))
        service.send_signal(kind)
        service.communicate(timeout=180)
        assert service.returncode == (0 if kind == signal.SIGTERM else -signal.SIGKILL)
    usual = TrialRecord.read(state / "trials" / "default.json").usual
    assert usual is not None
    assert (usual.model, usual.deaths, usual.boot) == ("ferplus7", 1, "")
    assert 0 < usual.lived < 600
    choose(make_bundle(tmp_path / "a"))
    service = start()
    wait_until(lambda: systemd.hears("model mine@2 on trial for 0 of 30 minutes"))
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=180)
    assert service.returncode == 0
    record = TrialRecord.read(state / "trials" / "default.json")
    assert record.usual == usual, "the trial has a count of its own"
    assert record.progress is not None
    assert (record.progress.deaths, record.progress.lived > 0) == (0, True)


def test_a_death_in_another_boot_does_not_count(state: Path, tmp_path: Path) -> None:
    choose(make_bundle(tmp_path / "a"))
    switch = Slots().in_effect()
    assert switch is not None
    for _ in range(5):
        trial = Trial(RunConfig(), ModelId("mine", "2"), switch, ModelId("ferplus7"))
        record = json.loads((state / "trials" / "default.json").read_text())
        record["progress"]["boot"] = "another"
        (state / "trials" / "default.json").write_text(json.dumps(record))
    with trial:
        assert trial.failure == ""


def test_a_service_starts_again_with_the_model_that_was_chosen(state: Path, tmp_path: Path) -> None:
    systemd = Notifications(tmp_path)
    service = start()
    wait_until(lambda: systemd.hears("FPS"))
    choose(make_bundle(tmp_path / "a"))
    _, said = service.communicate(timeout=180)
    assert service.returncode == 4
    assert said.splitlines()[-1].endswith("model mine@2 was chosen. Starting again with it")
    systemd.heard.clear()
    service = start()
    wait_until(lambda: systemd.hears("model mine@2 on trial for 0 of 30 minutes"))
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=180)
    assert service.returncode == 0
    assert json.loads((state / "trials" / "default.json").read_text())["progress"]["deaths"] == 0


def test_a_new_runtime_that_computes_something_else_ends_the_trial(state: Path, tmp_path: Path) -> None:
    model = choose(make_bundle(tmp_path / "a"))
    (Slots().path(model) / "golden.npz").unlink()
    Notifications(tmp_path)
    service = start()
    _, said = service.communicate(timeout=180)
    assert service.returncode == 4
    assert "model mine@2 failed its trial: " in said
    assert current_bundle().manifest.name == "ferplus7"
    del state


def test_no_trial_outside_of_the_service(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., object]
) -> None:
    choose(make_bundle(tmp_path / "a"))
    monkeypatch.delenv("NOTIFY_SOCKET")
    command("fer-edge", "run", "demo", "--max-frames", "5", env=dict(os.environ))
    assert not (state / "trials" / "default.json").exists()
