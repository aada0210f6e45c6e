"""What is written of trials and of restarts, and who reads it: without a service."""

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.clock import Clock

from fer_edge import Frame
from fer_edge.assets.composites import load_composites
from fer_edge.config import RunConfig
from fer_edge.errors import FerError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import Progress, TrialRecord, Verdict, boot_id, failed_models, record_path, uptime
from fer_edge.sinks import StopRun
from fer_edge.types import FrameResult
from fer_edge.updates.restarts import count_restarts
from fer_edge.updates.trial import Trial, open_trial
from fer_edge.updates.watch import ModelWatch, warn_if_revoked

FIRST, SECOND = ModelId("ferplus7-tiny"), ModelId("ferplus8")
RESULT = FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), (), {})


@pytest.fixture(autouse=True)
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:
    """A service's models; the second was chosen last."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    slots = Slots()
    choose(slots, FIRST)
    choose(slots, SECOND)
    return slots


def choose(slots: Slots, model: ModelId, why: str = "use") -> None:
    with slots.lock():
        slots.use(model, why)


def test_a_process_that_died_in_this_boot_is_counted_with_the_time_that_it_lived() -> None:
    first = uptime()
    before = Progress("m@1", 3, seconds=40.0, deaths=1, lived=5.0, boot=boot_id(), began=first - 100)
    died, closed = before.started(), before.closed()
    last = uptime()
    assert (died.deaths, died.seconds, died.boot) == (2, 40.0, boot_id())
    assert first <= died.began <= last
    assert (closed.deaths, closed.boot) == (1, "")
    for found in (died, closed):
        assert 105 <= found.lived <= 105 + last - first
    for other in (replace(before, boot="another boot"), replace(before, boot="")):
        assert (other.started().deaths, other.started().lived) == (1, 5.0)


def test_each_switch_to_a_model_begins_a_trial_of_its_own() -> None:
    first = TrialRecord().begun(SECOND, 1)
    assert first.progress is not None
    judged = replace(first, progress=replace(first.progress, seconds=300.0, boot=""))
    again, other, later = judged.begun(SECOND, 1), judged.begun(FIRST, 1), judged.begun(SECOND, 2)
    assert [found.progress and found.progress.seconds for found in (again, other, later)] == [300.0, 0.0, 0.0]
    ended = judged.ended(Verdict(str(SECOND), 1, False, "too slow", 0.0))
    assert ended.progress is None
    assert ended.verdict(SECOND, 1) is not None
    assert ended.verdict(SECOND, 2) is ended.verdict(FIRST, 1) is None


def test_the_last_verdicts_are_kept_and_those_of_every_instance_are_read(tmp_path: Path) -> None:
    record = TrialRecord()
    for serial in range(60):
        record = record.ended(Verdict(f"m@{serial}", serial, serial % 2 == 0, "too slow", float(serial)))
    record.write(record_path())
    assert [verdict.serial for verdict in TrialRecord.read(record_path()).verdicts] == list(range(10, 60))
    TrialRecord((Verdict("other@1", 1, False, "damaged", 0.0),)).write(tmp_path / "trials" / "porch.json")
    assert failed_models() == {f"m@{serial}": "too slow" for serial in range(11, 60, 2)} | {"other@1": "damaged"}


@pytest.mark.parametrize(
    ("error", "closed"),
    [(None, True), (StopRun(), True), (KeyboardInterrupt(), True), (FerError("no"), True), (ValueError("oh"), False)],
)
def test_a_run_that_an_error_of_the_program_ends_was_not_closed(
    slots: Slots, error: BaseException | None, closed: bool
) -> None:
    """Neither in a trial nor without one."""
    switch = slots.in_effect()
    assert switch is not None
    for run in (Trial(RunConfig(), SECOND, switch, FIRST), count_restarts()):
        with suppress(StopRun, KeyboardInterrupt, FerError, ValueError), run:
            if error:
                raise error
    record = TrialRecord.read(record_path())
    for progress in (record.progress, record.usual):
        assert progress is not None
        assert progress.model == str(SECOND)
        assert (progress.boot == "") is closed
    with count_restarts():
        pass
    usual = TrialRecord.read(record_path()).usual
    assert usual is not None
    assert usual.deaths == (0 if closed else 1)


def test_a_run_of_a_model_that_nobody_chose_is_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "none" / "models"))
    verdict = Verdict("m@1", 1, True, "", 0.0)
    TrialRecord().ended(verdict).write(record_path())
    for _ in range(2):
        with count_restarts():
            running = TrialRecord.read(record_path()).usual
        closed = TrialRecord.read(record_path())
        assert running is not None
        assert closed.usual is not None
        assert (running.model, running.boot, closed.usual.boot) == ("ferplus7", boot_id(), "")
        assert closed.usual.lived >= 0
        assert closed.verdicts == (verdict,), "what the file says of trials stays"


@pytest.mark.parametrize("error", [None, FerError("no")])
def test_a_record_that_cannot_be_written_is_said_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: FerError | None
) -> None:
    (tmp_path / "trials").write_text("a file where the folder should be")
    with suppress(FerError), count_restarts():
        assert len(caplog.messages) == 1
        if error:
            raise error
    said = f"{record_path()}: cannot be written (File exists), so restarts are not counted"
    assert caplog.messages == [said, said], "at its start and at its end"


def test_restarts_are_counted_of_the_model_that_is_used_in_place_of_a_failed_one(slots: Slots) -> None:
    switch = slots.in_effect()
    assert switch is not None
    TrialRecord().ended(Verdict(str(SECOND), switch.serial, False, "too slow", 0.0)).write(record_path())
    with count_restarts():
        usual = TrialRecord.read(record_path()).usual
    assert usual is not None
    assert usual.model == str(FIRST)


def test_what_is_pinned_was_chosen_by_a_rollback_or_has_passed_is_on_no_trial(slots: Slots) -> None:
    trial = open_trial(RunConfig())
    assert trial is not None
    assert trial.old == FIRST
    assert open_trial(RunConfig(model="ferplus8")) is None
    assert open_trial(RunConfig.model_validate({"updates": {"trial_minutes": 0}})) is None
    switch = slots.in_effect()
    assert switch is not None
    TrialRecord().ended(Verdict(str(SECOND), switch.serial, True, "", 0.0)).write(record_path())
    assert open_trial(RunConfig()) is None
    choose(slots, SECOND)
    assert open_trial(RunConfig()) is not None, "chosen again"
    choose(slots, FIRST, "rollback")
    assert open_trial(RunConfig()) is None


def test_a_model_that_is_another_one_or_computes_something_else_here_fails_at_once(
    slots: Slots, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(find_bundle("ferplus8"), tmp_path / "copy"))
    shutil.copy(find_bundle("ferplus7") / "golden.npz", copy)
    for bundle, why in ((copy, "copy/golden.npz: its faces"), (find_bundle("ferplus7"), "its files are damaged")):
        choose(slots, SECOND)
        switch = slots.in_effect()
        assert switch is not None
        with Trial(RunConfig(), SECOND, switch, FIRST) as trial:
            trial.begin(load_bundle(bundle), 30.0)
            assert why in trial.failure
            with pytest.raises(StopRun):
                trial.emit(RESULT)
        assert why in failed_models()[str(SECOND)]


def test_both_models_are_compared_with_the_prior_of_the_run(slots: Slots) -> None:
    config, face = RunConfig.model_validate({"classifier": {"prior": 1.0}}), load_composites()["fear"]
    switch = slots.in_effect()
    assert switch is not None
    with Trial(config, SECOND, switch, FIRST) as trial:
        trial.begin(load_bundle(find_bundle("ferplus8")), 30.0)
        assert trial._comparison is not None
        for (classifier, _), model in ((trial._comparison._new, SECOND), (trial._comparison._old, FIRST)):
            divided = Classifier(load_bundle(find_bundle(model.name)), prior=1.0)
            assert np.array_equal(classifier.probabilities(face), divided.probabilities(face))


@pytest.mark.parametrize("model", [FIRST, SECOND])
@pytest.mark.parametrize("is_waiting", [False, True])
def test_the_run_ends_within_five_seconds_when_a_model_is_chosen(
    slots: Slots, model: ModelId, is_waiting: bool
) -> None:
    """Also the same once more, and while there is no camera."""
    clock = Clock()
    watch = ModelWatch(slots, clock=clock.monotonic)

    def look() -> None:
        if is_waiting:
            watch.waiting("camera")
        else:
            watch.emit(RESULT)

    clock.now += 6
    look()
    choose(slots, model)
    clock.now += 4.9
    look()
    clock.now += 0.2
    with pytest.raises(StopRun):
        look()
    assert watch.chosen == str(model)


def test_a_model_that_failed_is_named_by_what_watches_the_choice(slots: Slots) -> None:
    assert ModelWatch(slots).trouble == ""
    switch = slots.in_effect()
    assert switch is not None
    TrialRecord().ended(Verdict(str(SECOND), switch.serial, False, "too slow", 0.0)).write(record_path())
    assert ModelWatch(slots).trouble == "failed its trial, and the one before it is used: too slow"


def test_a_model_that_passed_its_trial_has_no_trouble(slots: Slots) -> None:
    switch = slots.in_effect()
    assert switch is not None
    TrialRecord().ended(Verdict(str(SECOND), switch.serial, True, "as good", 0.0)).write(record_path())
    watch = ModelWatch()
    assert (watch.description, watch.trouble, watch.chosen) == ("the model ferplus8", "", "")


def test_the_choice_is_read_every_five_seconds_from_the_first_on(slots: Slots) -> None:
    clock = Clock()
    watch = ModelWatch(slots, clock=clock.monotonic)
    choose(slots, FIRST)
    clock.now += 4.5
    watch.emit(RESULT)
    assert watch.chosen == ""
    clock.now += 0.5
    with pytest.raises(StopRun):
        watch.emit(RESULT)
    assert watch.chosen == str(FIRST)


def test_a_first_choice_ends_the_run_and_one_that_is_taken_away_does_not(
    slots: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    watch = ModelWatch(slots, clock=clock.monotonic)
    (slots.folder / "history.json").unlink()
    clock.now += 6
    watch.emit(RESULT)
    assert watch.chosen == ""
    assert ModelWatch(slots).trouble == "", "a choice of which nothing is known"
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "other"))
    watch = ModelWatch(clock=clock.monotonic)
    assert watch.trouble == ""
    clock.now += 6
    watch.waiting("camera")
    choose(Slots(), SECOND)
    clock.now += 6
    with pytest.raises(StopRun):
        watch.waiting("camera")
    assert watch.chosen == str(SECOND)


def test_a_run_with_a_revoked_model_says_which_and_why(slots: Slots, caplog: pytest.LogCaptureFixture) -> None:
    first, second = (load_bundle(find_bundle(str(model))).manifest for model in (FIRST, SECOND))
    warn_if_revoked(first)
    assert caplog.messages == []
    with slots.lock():
        slots.revoke({f"{FIRST}@{first.version}": "poisoned", str(SECOND): "no version", "other@0.1.0": "slow"})
    warn_if_revoked(first)
    warn_if_revoked(second)
    assert caplog.messages == [
        f"model ferplus7-tiny@{first.version} was revoked by whoever signs the models (poisoned). Use another one"
    ]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", b'{"progress": {"foreign": 1}, "usual": null, "verdicts": []}']
)
def test_a_record_that_cannot_be_read_is_empty(tmp_path: Path, content: bytes) -> None:
    assert TrialRecord.read(tmp_path / "none.json") == TrialRecord()
    (tmp_path / "record.json").write_bytes(content)
    assert TrialRecord.read(tmp_path / "record.json") == TrialRecord()


def test_a_boot_is_unknown_where_the_kernel_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "boot_id"
    monkeypatch.setattr("fer_edge.model.trial_record._BOOT_ID", path)
    assert boot_id() == "unknown"
    path.write_text("4c21-9a\n")
    assert boot_id() == "4c21-9a"
