"""What `fer-edge models list` and `history` print: each model with its numbers and its state."""

import json
import time
from pathlib import Path

import pytest
from tests.bundles import make_bundle
from tests.screen import rows_of
from tests.typed import typed

from fer_edge.cli.models_tables import history_table, models_table, rows_of_models
from fer_edge.model.bundle import find_bundle, load_bundle, shipped_bundles
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import Progress, TrialRecord, Verdict, record_path

Printed = pytest.CaptureFixture[str]
MINE = ModelId("mine", "2")


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:
    """A folder of installed models, with one."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "state" / "models"))
    make_bundle(tmp_path / "state" / "models" / "mine" / "2")
    return Slots()


def row(**changes: object) -> dict[str, object]:
    return {
        "model": "mine@2",
        "installed": True,
        "problem": "",
        "labels": ["happy", "sad"],
        "macs": 12_345_000,
        "bytes": 98_700,
        "accuracy_int8": 0.8126,
        "measured_on": "100 faces of FER+ [test]",
        "state": "in use [now]\x1b",
        **changes,
    }


def test_a_model_is_a_row_of_its_size_work_and_accuracy(capsys: Printed) -> None:
    models_table([row(), row(accuracy_int8=None, measured_on=""), row(problem="hash of [x] differs")])
    assert rows_of(capsys.readouterr().out) == [
        ["model", "classes", "MMACs", "kB", "accuracy, int8", "on", "state"],
        ["mine@2", "2", "12.3", "99", "81.3%", "100 faces of FER+ [test]", "in use [now]\\x1b"],
        ["mine@2", "2", "12.3", "99", "not measured", "", "in use [now]\\x1b"],
        ["mine@2", "", "", "", "", "", "damaged: hash of [x] differs"],
    ]


def test_a_damaged_model_does_not_hide_those_after_it(capsys: Printed) -> None:
    models_table([row(problem="broken"), row(model="other")])
    assert [cells[0] for cells in rows_of(capsys.readouterr().out)] == ["model", "mine@2", "other"]


@pytest.mark.usefixtures("slots")
def test_shipped_models_come_first_with_the_facts_of_their_cards() -> None:
    rows = rows_of_models()
    assert [one["model"] for one in rows] == [*shipped_bundles(), "mine@2"]
    first, mine = rows[0], rows[-1]
    bundle = load_bundle(find_bundle(first["model"]))
    measured = bundle.manifest.accuracy[0]
    assert first == {
        "model": bundle.manifest.name,
        "installed": False,
        "folder": str(find_bundle(first["model"])),
        "state": first["state"],
        "problem": "",
        "bytes": len(bundle.model),
        "version": bundle.manifest.version,
        "labels": list(bundle.manifest.labels),
        "macs": bundle.manifest.macs,
        "accuracy_int8": measured.accuracy_int8,
        "measured_on": f"{measured.images} faces of {measured.data} {measured.split}, {measured.labels} labels",
    }
    assert (mine["installed"], mine["version"]) == (True, "2")
    assert mine["folder"].endswith("/models/mine/2")
    assert [one["model"] for one in rows if one["state"] == "in use"] == ["ferplus7"]


def test_a_model_that_was_never_measured_has_no_accuracy(slots: Slots) -> None:
    make_bundle(slots.path(ModelId("mine", "3")), version="3", accuracy=[])
    found = rows_of_models()[-1]
    assert (found["model"], found["accuracy_int8"], found["measured_on"]) == ("mine@3", None, "")


def test_a_damaged_bundle_has_its_problem_alone(slots: Slots) -> None:
    (slots.path(MINE) / "model.tflite").write_bytes(b"x")
    found = rows_of_models()[-1]
    assert list(found) == ["model", "installed", "folder", "state", "problem"]
    assert "model.tflite" in found["problem"]


def state_of(model: str) -> str:
    return str(next(one["state"] for one in rows_of_models() if one["model"] == model))


def test_the_model_in_use_says_since_when_and_how_long_it_is_on_trial(slots: Slots) -> None:
    with slots.lock():
        slots.use(MINE, "use")
    switch = slots.history()[-1]
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(switch.at))
    assert state_of("mine@2") == f"in use since {since}"
    assert state_of("ferplus7") == ""
    TrialRecord(progress=Progress("mine@2", switch.serial, 150.0)).write(record_path())
    assert state_of("mine@2") == f"in use since {since}; on trial for 2 minutes"
    TrialRecord(progress=Progress("other@1", switch.serial, 150.0)).write(record_path())
    assert state_of("mine@2") == f"in use since {since}"


def test_a_model_that_failed_its_trial_says_why_and_another_is_in_use(slots: Slots) -> None:
    with slots.lock():
        slots.use(MINE, "use")
    serial = slots.history()[-1].serial
    TrialRecord((Verdict("mine@2", serial, False, "too slow", 0.0),)).write(record_path())
    assert state_of("mine@2") == "failed its trial: too slow"
    assert state_of("ferplus7") == "in use"


def test_the_history_has_the_latest_switch_first_with_the_end_of_its_trial(slots: Slots, capsys: Printed) -> None:
    with slots.lock():
        slots.use(MINE, "install")
        slots.use(ModelId("ferplus7"), "rollback")
        slots.use(MINE, "use")
    first, _, last = slots.history()
    verdicts = (
        Verdict("mine@2", first.serial, True, "as good [as before]", 0.0),
        Verdict("mine@2", last.serial, False, "too slow\x1b", 0.0),
    )
    TrialRecord(verdicts).write(record_path())
    history_table(slots)
    out = capsys.readouterr().out
    chosen = time.strftime("%Y-%m-%d %H:%M", time.localtime(first.at))
    later = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.at))
    assert [cells[1:] for cells in rows_of(out)] == [
        ["model", "by", "trial"],
        ["mine@2", "use", "failed: too slow\\x1b"],
        ["ferplus7", "rollback", ""],
        ["mine@2", "install", "passed: as good [as before]"],
    ]
    assert [rows_of(out)[index][0] for index in (0, 1, 3)] == ["chosen", later, chosen]
    assert typed("models", "history").out == out


@pytest.mark.usefixtures("slots")
def test_the_list_is_a_table_or_json() -> None:
    assert rows_of(typed("models", "list").out)[-1][0] == "mine@2"
    done = typed("models", "list", "--json")
    assert json.loads(done.out) == rows_of_models()
    assert done.out.startswith('[\n  {\n    "model"'), "with an indent of two"


def test_a_choice_names_the_model_before_and_what_the_configuration_says(slots: Slots, tmp_path: Path) -> None:
    assert typed("models", "use", "mine").out == "mine@2 is the current model\n"
    assert typed("models", "use", "mine").out == "mine@2 is the current model\n"
    done = typed("models", "use", "ferplus7")
    assert (done.out, done.err) == ("ferplus7 is the current model; before: mine@2\n", "")
    config = tmp_path / "config.toml"
    config.write_text('model = "ferplus7-tiny"\n')
    done = typed("models", "rollback", "--config", config)
    assert done.out == "mine@2 is the current model; before: ferplus7\n"
    assert done.err == ("the configuration says model = ferplus7-tiny, so this has no effect there. Remove that line\n")
    assert [switch.why for switch in slots.history()] == ["use", "use", "use", "rollback"]


def test_a_revoked_model_cannot_be_chosen(slots: Slots) -> None:
    with slots.lock():
        slots.revoke({"mine@2": "it is unfair"})
    done = typed("models", "use", "mine@2")
    assert done.code == 4
    assert done.err == ("error: mine@2 was revoked by whoever signs the models (it is unfair). Use another one\n")
    assert slots.current() is None


def test_the_services_configuration_counts_where_its_models_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who chooses the service's model is told what the service's configuration says."""
    config = tmp_path / "config.toml"
    config.write_text('model = "ferplus7-tiny"\n')
    monkeypatch.setattr("fer_edge.cli.models._SERVICE_CONFIG", config)
    monkeypatch.setattr("fer_edge.data_folder.SERVICE_DATA", tmp_path / "state")
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "state" / "models"))
    (tmp_path / "state" / "models").mkdir(parents=True)
    assert "model = ferplus7-tiny" in typed("models", "use", "ferplus7").err
    other = tmp_path / "other.toml"
    other.write_text("")
    assert typed("models", "use", "ferplus7", "--config", other).err == ""
    config.unlink()
    done = typed("models", "use", "ferplus7")
    assert (done.code, done.err) == (0, ""), "it cannot be read"
    config.write_text('model = "ferplus7-tiny"\n')
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "own" / "models"))
    (tmp_path / "own" / "models").mkdir(parents=True)
    assert typed("models", "use", "ferplus7").err == "", "it is about other models"
