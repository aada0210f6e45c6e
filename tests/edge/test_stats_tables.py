"""What `fer-edge stats` and `fer-edge drift` print: each number in its column, in its unit."""

import json
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from tests.samples import make_folder
from tests.screen import rows_of
from tests.typed import typed
from tests.visitors import Scene, month, write_expected, write_hours

from fer_edge.cli.drift import DriftSummary, print_drift
from fer_edge.monitoring.drift import DriftReport, FeatureDrift
from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import DAY, HOUR, MINUTE, ModelIdentity, UsageStore

NOW = int(time.time())
MODEL = ModelIdentity("ferplus7", "1.0.0", "0" * 64)
HEADINGS = ["from", "people", "face time", "labels", "FPS", "dropped", "hottest", "camera lost"]


def write(path: Path, *hours: Period, end: int = NOW) -> Path:
    """A record of these hours before now, a minute of each."""
    start = end // HOUR * HOUR - len(hours) * HOUR
    with UsageStore(path, MODEL) as store:
        for index, hour in enumerate(hours):
            store.append(start + index * HOUR, hour)
    return path


def seen(**faces: float) -> Period:
    period = Period(frames=600, people=2)
    period.face_s.update(faces)
    return period


def local(at: int) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


def test_each_hour_is_a_row_of_what_was_seen(tmp_path: Path) -> None:
    many = seen(happy=4500.0, sad=1500.0)
    many.dropped, many.hottest, many.camera_losses, many.camera_lost_s = 200, 61.6, 2, 75.0
    path = write(tmp_path / "usage.sqlite", many, seen(neutral=125.0), seen(neutral=42.0), Period(frames=60))
    done = typed("stats", path, "--by", "hour")
    first = NOW // HOUR * HOUR - 4 * HOUR
    assert (done.code, done.err) == (0, "")
    assert rows_of(done.out) == [
        HEADINGS,
        [local(first), "2", "1 h 40 min", "█" * 24, "10.0", "25%", "62 °C", "2x, 1 min 15 s"],
        ["", "", "", "happy 75%, sad 25%", "", "", "", ""],
        [local(first + HOUR), "2", "2 min 5 s", "", "10.0", "0%", "-", "-"],
        ["", "", "", "neutral 100%", "", "", "", ""],
        [local(first + 2 * HOUR), "2", "42 s", "", "10.0", "0%", "-", "-"],
        ["", "", "", "neutral 100%", "", "", "", ""],
        [local(first + 3 * HOUR), "0", "0 s", "nobody", "1.0", "0%", "-", "-"],
    ]


def test_bars_are_as_long_as_the_time_with_faces(tmp_path: Path) -> None:
    path = write(tmp_path / "usage.sqlite", seen(happy=30.0), seen(happy=60.0), seen(sad=45.0))
    bars = [row[3].count("█") for row in rows_of(typed("stats", path, "--by", "hour").out)[1::2]]
    assert bars == [12, 24, 18]


def test_numbers_stand_to_the_right_and_names_to_the_left(tmp_path: Path) -> None:
    path = write(tmp_path / "usage.sqlite", seen(happy=30.0))
    out = typed("stats", path).out
    assert "│      2 │      30 s │ ██" in out
    assert "┃ from             ┃" in out
    assert "│ happy 100%               │" in out


def test_hours_in_which_nobody_came_have_no_bar(tmp_path: Path) -> None:
    path = write(tmp_path / "usage.sqlite", Period(frames=120))
    assert rows_of(typed("stats", path).out)[1][3:] == ["nobody", "2.0", "0%", "-", "-"]


def test_a_record_without_recent_rows_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "usage.sqlite", seen(happy=1.0), end=NOW - 2 * DAY)
    assert typed("stats", path, "--since", "1d").out == f"{path}: nothing was recorded since 1d\n"
    assert "happy 100%" in typed("stats", path, "--since", "3d").out


def test_rows_are_written_as_json_and_csv_instead_of_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "usage.sqlite", seen(happy=30.0))
    done = typed("stats", path, "--json")
    (row,) = json.loads(done.out)
    assert (row["frames"], row["people"]) == (600, 2)
    assert done.out.startswith('[\n  {\n    "'), "with an indent of two"
    done = typed("stats", path, "--csv", tmp_path / "rows.csv", "--json", tmp_path / "rows.json")
    assert done.out == ""
    assert (tmp_path / "rows.csv").read_text().startswith("start,")
    assert json.loads((tmp_path / "rows.json").read_text()) == [row]
    assert typed("stats", path, "--csv", tmp_path / "rows.csv").out == ""
    assert typed("stats", path, "--plot", tmp_path / "plot.svg").out == ""
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_a_csv_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path, target = write(tmp_path / "usage.sqlite", seen(happy=30.0)), tmp_path / "no" / "rows.csv"
    done = typed("stats", path, "--csv", target)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: --csv {target}: cannot be written (No such file or directory)\n"


def test_labelled_samples_give_an_accuracy_per_month(tmp_path: Path) -> None:
    path = write(tmp_path / "usage.sqlite", seen(happy=30.0))
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 4)
    config = tmp_path / "config.toml"
    config.write_text(f'[samples]\npath = "{folder.folder}"\n[usage]\npath = "{path}"\n')
    assert "measured accuracy" not in typed("stats", "--config", config).out
    for sample, answer in zip(samples, ("happy", "happy", "happy", "sad"), strict=True):
        folder.set_label(sample, answer)
    out = typed("stats", "--config", config).out
    assert "measured accuracy, by labelled samples" in out
    assert rows_of(out)[-2:] == [
        ["month", "model", "labelled faces", "accuracy, %", "95 % interval"],
        ["2026-06", "ferplus7@0.1.0", "4", "75.0", "30.1 to 95.4"],
    ]
    assert "┃ month   ┃ model          ┃" in out, "names to the left"
    assert "│ ferplus7@0.1.0 │              4 │" in out, "numbers to the right"
    for sample in samples:
        folder.set_label(sample, "not a face")
    assert rows_of(typed("stats", "--config", config).out)[-1] == ["2026-06", "ferplus7@0.1.0", "0", "-", "-"]


def test_a_folder_of_samples_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    path, config = write(tmp_path / "usage.sqlite", seen(happy=30.0)), tmp_path / "config.toml"
    config.write_text(f'[samples]\npath = "{tmp_path}/none"\n')
    done = typed("stats", path, "--config", config)
    assert (done.code, done.err) == (0, "")
    assert "measured" not in done.out


def test_drift_comes_below_the_table_if_it_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "usage.sqlite", seen(happy=30.0))
    assert "drift" not in typed("stats", path).out
    assert "drift since the reference week: too little data (" in typed("stats", path, "--drift").out


def test_without_a_record_the_way_to_give_one_is_told() -> None:
    for words in (("stats",), ("drift", "show"), ("drift", "baseline"), ("report", "--html", "x.html")):
        done = typed(*words)
        assert done.code == 2
        assert done.err == ("error: no usage record is configured. Give its file, or --config with usage.path set\n"), (
            words
        )


FEATURES = (
    FeatureDrift("brightness", 0.3121, 0.0512, 0.2521, 120.44, 60.26),
    FeatureDrift("size", 0.0, 0.0, 0.0, 80.0, 0.1234),
)
WEEK = DriftReport("drifted", FEATURES, "faces are darker")
MEASURED = DriftReport("ok", (), "as in the reference")


def test_drift_is_a_line_and_a_table_of_features(capsys: pytest.CaptureFixture[str]) -> None:
    print_drift(DriftSummary(WEEK))
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "drift since the reference week: drifted (faces are darker)"
    assert out.splitlines()[-1] == ("drift from the model's own faces: its bundle was not found, or has no reference")
    assert rows_of(out) == [
        ["feature", "reference", "now", "PSI", "by chance", "Jensen-Shannon distance"],
        ["brightness", "120", "60.3", "0.31", "0.05", "0.25"],
        ["size", "80", "0.123", "0.00", "0.00", "0.00"],
    ]
    assert "│ size       │        80 │" in out, "names to the left, numbers to the right"


def test_drift_from_the_models_faces_and_its_accuracy_follow(capsys: pytest.CaptureFixture[str]) -> None:
    print_drift(DriftSummary(MEASURED, MEASURED))
    assert capsys.readouterr().out.splitlines() == [
        "drift since the reference week: ok (as in the reference)",
        "drift from the faces that the model was measured on: ok (as in the reference)",
        "expected accuracy: too few faces in the last two days",
    ]
    print_drift(DriftSummary(MEASURED, MEASURED, ExpectedAccuracy(0.8126, 0.7, 0.904, True, "usual faces")))
    assert capsys.readouterr().out.splitlines()[2] == (
        "expected accuracy: 81.3% (95 % interval 70.0% to 90.4%): usual faces"
    )


def test_the_models_own_faces_and_accuracy_are_found_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    write_expected(path)
    done = typed("drift", "show", path, "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert done.out.startswith('{\n  "since_reference_week": {'), "with an indent of two"
    assert found["since_reference_week"]["state"] == "too little data"
    assert found["from_measured_faces"]["features"]
    assert found["expected_accuracy"]["accuracy"] == pytest.approx(0.825, abs=0.02)
    config = tmp_path / "config.toml"
    config.write_text('model = "ferplus7-tiny"\n')
    out = typed("drift", "show", path, "--config", config).out
    assert "drift from the faces that the model was measured on: " in out
    assert "expected accuracy: 82.5% (" in out


def test_a_model_that_nobody_has_gives_no_reference(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    with UsageStore(path, ModelIdentity("mine", "1", "0" * 64)) as store:
        store.append(NOW // MINUTE * MINUTE - HOUR, Period(frames=1))
    assert typed("drift", "show", path).out.endswith("its bundle was not found, or has no reference\n")


def test_a_record_without_rows_has_no_model(tmp_path: Path) -> None:
    with UsageStore(tmp_path / "usage.sqlite", MODEL):
        pass
    assert "its bundle was not found" in typed("drift", "show", tmp_path / "usage.sqlite").out


def test_what_has_drifted_ends_with_one_and_a_new_baseline_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    hours = month(seed=2, days=12, changes={9: Scene(light=0.5)})
    write_hours(path, hours, MODEL, NOW // HOUR * HOUR - 12 * DAY)
    done = typed("drift", "show", path)
    assert done.code == 1
    assert done.out.startswith("drift since the reference week: drifted (faces are darker")
    assert typed("drift", "show", path, "--json", tmp_path / "drift.json").code == 1
    assert json.loads((tmp_path / "drift.json").read_text())["since_reference_week"]["state"] == "drifted"
    done = typed("drift", "baseline", path)
    assert (done.code, done.out) == (0, f"{path}: the next 7 days are the new reference\n")
    done = typed("drift", "show", path)
    assert done.code == 0
    assert "too little data" in done.out


def test_a_report_holds_the_record_drift_and_samples(tmp_path: Path) -> None:
    path, page = tmp_path / "usage.sqlite", tmp_path / "page.html"
    write_expected(path)
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 4)
    folder.set_label(samples[0], "happy")
    config = tmp_path / "config.toml"
    config.write_text(f'[samples]\npath = "{folder.folder}"\n[usage]\npath = "{path}"\n')
    done = typed("report", "--html", page, "--config", config)
    assert (done.code, done.out, done.err) == (0, f"{page}: written\n", "")
    full = page.read_text()
    assert "Expected accuracy of the last two days: " in full
    assert "sample has a label" not in full
    days = [datetime.fromtimestamp(NOW - back * DAY).astimezone() for back in (7, 1)]
    assert f"{days[0]:%A, %d %B %Y} to " in full
    done = typed("report", path, "--html", page, "--since", "1d")
    assert done.code == 0
    assert "no sample has a label" in page.read_text()
    assert f"{days[1]:%A, %d %B %Y} to " in page.read_text()


def test_counts_add_up_over_a_day(tmp_path: Path) -> None:
    start = NOW // HOUR * HOUR - 3 * HOUR
    with UsageStore(tmp_path / "usage.sqlite", MODEL) as store:
        for index in range(2):
            period = Period(frames=600)
            period.visits = Counter(happy=1)
            store.append(start + index * MINUTE, period)
    (row,) = json.loads(typed("stats", tmp_path / "usage.sqlite", "--by", "week", "--json").out)
    assert row["frames"] == 1200
