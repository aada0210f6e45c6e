"""What `fer-edge samples` prints: which samples there are, and how often the model's labels were right."""

import json
import time
from pathlib import Path

import pytest
from tests.samples import make_folder
from tests.screen import rows_of
from tests.typed import typed
from tests.visitors import month, write_hours

from fer_edge.cli.samples_tables import accuracy_tables
from fer_edge.model.bundle import MODEL_FILE, find_bundle, load_bundle
from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
from fer_edge.monitoring.measured_accuracy import MeasuredAccuracy, Rate
from fer_edge.monitoring.store import HOUR, ModelIdentity

CARD = load_bundle(find_bundle("ferplus7")).manifest
SHIPPED = f"{CARD.name}@{CARD.version}"
READ_AS = [("happy", 0.9), ("sad", 0.512), ("happy", 0.8)]
MEASURED = MeasuredAccuracy(
    model=SHIPPED,
    first_day="2026-06-01",
    last_day="2026-06-09",
    labelled=5,
    no_faces=1,
    skipped=2,
    accuracy=Rate(0.8126, 0.7, 0.9),
    of_samples=Rate(0.6, 0.5, 0.7012),
    confidence=0.7512,
    recall={"happy": Rate(0.5, 0.25, 0.75), "contempt": Rate(0.0, 0.0, 0.4)},
    confusion={"happy": {"sad": 2, "happy": 2}, "contempt": {"happy": 1}},
)


def test_samples_are_listed_with_both_labels_and_counted(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", READ_AS, per_day=2)
    folder.set_label(samples[1], "fear")
    (folder.folder / "letter.txt").write_text("mine")
    done = typed("samples", "list", "--folder", folder.folder)
    assert (done.code, done.err) == (0, "")
    assert rows_of(done.out) == [
        ["sample", "day", "model's label", "confidence", "your label"],
        [samples[0].id, "2026-06-01", "happy", "0.90", ""],
        [samples[1].id, "2026-06-01", "sad", "0.51", "fear"],
        [samples[2].id, "2026-06-02", "happy", "0.80", ""],
    ]
    assert "│ happy         │       0.90 │" in done.out, "names to the left, numbers to the right"
    assert done.out.splitlines()[-2:] == [
        f"{folder.folder}: 3 samples (2 happy, 1 sad), 1 labelled",
        "1 other files are left alone, the first is letter.txt",
    ]


def test_without_samples_there_is_no_table(tmp_path: Path) -> None:
    folder, _ = make_folder(tmp_path / "samples", [])
    done = typed("samples", "list", "--folder", folder.folder)
    assert done.out == f"{folder.folder}: 0 samples (none yet), 0 labelled\n"


def test_samples_as_json_have_the_answer_or_none(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", READ_AS[:2])
    folder.set_label(samples[0], "neutral")
    rows = json.loads(typed("samples", "list", "--folder", folder.folder, "--json").out)
    assert [(row["id"], row["answer"]) for row in rows] == [(samples[0].id, "neutral"), (samples[1].id, None)]
    assert list(rows[1].values()) == [samples[1].id, "2026-06-01", "sad", 0.512, "sad", "ferplus7@0.1.0", None]


def test_an_accuracy_stands_beside_the_card_and_what_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    expected = ExpectedAccuracy(0.7712, 0.7, 0.85, True, "usual faces")
    accuracy_tables(MEASURED, "current", expected)
    out = capsys.readouterr().out
    first = CARD.accuracy[0]
    happy = first.recall_int8["happy"]
    assert happy is not None
    assert out.splitlines()[0].strip() == f"{SHIPPED}, 5 labelled faces of 2026-06-01 to 2026-06-09"
    assert rows_of(out)[:7] == [
        ["", "here, %", "95 % interval", "model card, %"],
        ["accuracy, as faces occur here", "81.3", "70.0 to 90.0", f"{100 * first.accuracy_int8:.1f}"],
        ["accuracy of the samples alone", "60.0", "50.0 to 70.1", ""],
        ["mean confidence, as faces occur here", "75.1", "", ""],
        ["expected accuracy, without labels", "77.1", "70.0 to 85.0", ""],
        ["recall of happy", "50.0", "25.0 to 75.0", f"{100 * happy:.1f}"],
        ["recall of contempt", "0.0", "0.0 to 40.0", "-"],
    ]
    assert "│ recall of happy                      │    50.0 │" in out, "names to the left, numbers to the right"
    assert rows_of(out)[7:] == [["", "happy", "sad"], ["happy", "2", "2"], ["contempt", "1", ""]]
    assert "confusion matrix: rows are your labels, columns the model's" in " ".join(out.split())
    assert "│     2 │   2 │" in out
    assert out.splitlines()[-3:] == [
        "expected accuracy: usual faces",
        f"model card: {first.images} faces of {first.data} {first.split}, {first.labels} labels",
        "1 samples show no face, 2 were skipped",
    ]


def test_without_a_card_and_labels_the_places_are_empty(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = MeasuredAccuracy("gone@1", "2026-06-01", "2026-06-01", 0, 3, 0, None, None, None, {}, {})
    accuracy_tables(nothing, "ferplus7")
    out = capsys.readouterr().out
    assert rows_of(out)[:3] == [
        ["", "here, %", "95 % interval", "model card, %"],
        ["accuracy, as faces occur here", "-", "", "-"],
        ["accuracy of the samples alone", "-", "", ""],
    ]
    assert "confidence" not in out
    assert "expected" not in out
    assert "model card:" not in out
    assert out.splitlines()[-1] == "3 samples show no face, 0 were skipped"


def test_the_card_of_another_version_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    other = MeasuredAccuracy("ferplus7@0.0.1", "2026-06-01", "2026-06-01", 0, 0, 0, None, None, None, {}, {})
    accuracy_tables(other, "ferplus7")
    assert "model card:" not in capsys.readouterr().out


def test_a_card_is_found_by_the_configured_folder_or_by_the_models_name(capsys: pytest.CaptureFixture[str]) -> None:
    for configured in ("ferplus7", str(find_bundle("ferplus7")), "no-such-model", "ferplus7-tiny"):
        accuracy_tables(MEASURED, configured)
        assert "model card: " in capsys.readouterr().out, configured


def test_accuracy_is_measured_on_labelled_samples(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", READ_AS, model=SHIPPED)
    unlabelled = typed("samples", "accuracy", "--folder", folder.folder)
    assert unlabelled.out == (f"{folder.folder}: no sample has a label yet. Give some: fer-edge samples review\n")
    assert typed("samples", "accuracy", "--folder", folder.folder, "--json").out == "null\n"
    for sample, answer in zip(samples, ("happy", "fear", "happy"), strict=True):
        folder.set_label(sample, answer)
    done = typed("samples", "accuracy", "--folder", folder.folder)
    assert rows_of(done.out)[1][:2] == ["accuracy, as faces occur here", "66.7"]
    assert "expected" not in done.out
    assert "model card: " in done.out
    found = json.loads(typed("samples", "accuracy", "--folder", folder.folder, "--json").out)
    assert (found["model"], found["labelled"]) == (SHIPPED, 3)


def test_a_record_of_the_samples_days_gives_an_expected_accuracy(tmp_path: Path) -> None:
    """The model is known by its hash; the record holds the days of the samples."""
    now = int(time.time())
    folder, samples = make_folder(tmp_path / "samples", READ_AS, model=SHIPPED)
    for sample in samples:
        folder.set_label(sample, sample.label)
    hours = month(seed=1, days=2)
    for hour in hours:
        hour.histograms["expected"].update({16: hour.histograms["confidence"].total()})
    path, config = tmp_path / "usage.sqlite", tmp_path / "config.toml"
    config.write_text(f'[samples]\npath = "{folder.folder}"\n[usage]\npath = "{path}"\n')
    assert "expected" not in typed("samples", "accuracy", "--config", config).out, "there is no record"
    start = samples[0].taken_at - 36 * HOUR
    write_hours(path, [*hours, *hours], ModelIdentity(CARD.name, CARD.version, CARD.files[MODEL_FILE]), start)
    out = typed("samples", "accuracy", "--config", config).out
    assert any(row[:2] == ["expected accuracy, without labels", "82.5"] for row in rows_of(out))
    without = typed("samples", "accuracy", "--folder", folder.folder).out
    assert "expected accuracy" not in without, "no record is configured"
    write_hours(path, hours, ModelIdentity(CARD.name, "0.0.1", CARD.files[MODEL_FILE]), now - 50 * HOUR)
    assert "expected" not in typed("samples", "accuracy", "--config", config).out, "another model was newer"


def test_samples_need_a_folder(tmp_path: Path) -> None:
    done = typed("samples", "list")
    assert done.code == 2
    assert done.err == "error: no samples are configured. Give --folder, or --config with samples.path set\n"
    done = typed("samples", "list", "--folder", tmp_path / "none")
    assert done.code == 2
    assert str(tmp_path / "none") in done.err


def test_samples_are_deleted_by_name_by_day_and_all(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 4, per_day=1)
    where = ("--folder", folder.folder)
    for words in ((), (samples[0].id, "--all"), ("--all", "--before", "2026-06-02")):
        done = typed("samples", "delete", *words, *where)
        assert (done.code, done.err) == (2, "error: give samples, or --before DATE, or --all\n")
    done = typed("samples", "delete", samples[3].id, *where)
    assert done.out == f"{folder.folder}: 1 samples deleted\n"
    assert typed("samples", "delete", samples[3].id, *where).err == (
        f"error: {samples[3].id}: is no sample. See fer-edge samples list\n"
    )
    assert typed("samples", "delete", "--before", "yesterday", *where).err == (
        "error: --before yesterday: expected a date such as 2026-11-27\n"
    )
    done = typed("samples", "delete", "--before", "2026-06-02", *where)
    assert done.out == f"{folder.folder}: 1 samples deleted\n"
    assert [sample.id for sample in folder.samples()] == [samples[1].id, samples[2].id]
    assert typed("samples", "delete", "--all", *where).out == f"{folder.folder}: all samples deleted\n"
    assert folder.samples() == []


def test_samples_are_drawn_on_a_sheet_and_exported(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", READ_AS, per_day=1)
    sheet = tmp_path / "sheet.png"
    assert typed("samples", "show", sheet, "--folder", folder.folder).out == f"{sheet}: 3 faces\n"
    assert sheet.is_file()
    for sample in samples:
        folder.set_label(sample, sample.label)
    done = typed("samples", "export", tmp_path / "out", "--folder", folder.folder)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{tmp_path / 'out'}: ")
    assert done.out.endswith(". They are pictures of people: delete them when you are done\n")
