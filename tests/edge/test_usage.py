"""The usage record: counts over months, safe on the disk, without delaying frames."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.conftest import Run, as_nobody, wait_until

from fer_edge import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.device.thermal import Heat
from fer_edge.errors import ConfigError
from fer_edge.monitoring.drift import DriftReport, State
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.stats import group_rows, parse_since
from fer_edge.monitoring.store import (
    DAY,
    HOUR,
    MAX_BYTES,
    MINUTE,
    ModelIdentity,
    UsageStore,
    iterate_rows,
    newest_model,
    read_rows,
)
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.monitoring.usage_writer import UsageWriter, face_features
from fer_edge.sinks import Sink

ROOT = Path(__file__).resolve().parents[2]
MODEL = ModelIdentity("ferplus7", "1.0.0", "0" * 64)
MONDAY = int(datetime(2026, 6, 1, 0, 0).astimezone().timestamp())


def face(identity: int = 1, label: str = "happy", missed_s: float = 0.0) -> TrackedFace:
    crop = np.full((48, 48), 100, np.uint8)
    crop[:, 24:] = 140
    raw = Prediction(np.array([0.75, 0.25], np.float32), label, 0.75, crop)
    return TrackedFace(Track(identity, FaceBox(0, 0, 40, 50, 0.65), 1.0, missed_s), raw, raw)


def frame(index: int, at: float, *faces: TrackedFace, live: bool = False) -> FrameResult:
    return FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), at, index, live=live), faces, {})


def record(path: Path, *results: FrameResult) -> Period:
    """What the record says after these frames."""
    with UsageRecorder(UsageStore(path, MODEL), "the record") as recorder:
        for result in results:
            recorder.emit(result)
    total = Period()
    for row in read_rows(path):
        total.add(row.period)
    return total


def test_counts_of_a_run(tmp_path: Path) -> None:
    results = [frame(index, index / 10, face(1), face(2, "sad")) for index in range(21)]
    results += [frame(21 + index, 2.1 + index / 10, face(1, "sad")) for index in range(10)]
    total = record(tmp_path / "usage.sqlite", *results)
    assert (total.frames, total.dropped, total.people) == (31, 0, 2)
    assert total.face_s == pytest.approx({"happy": 2.0, "sad": 2.0 + 1.0})
    assert total.visits == {"happy": 1, "sad": 2}


def test_features_are_sampled_once_per_second_in_their_bins(tmp_path: Path) -> None:
    total = record(tmp_path / "usage.sqlite", *(frame(index, index / 10, face()) for index in range(25)))
    assert {name: sum(counts.values()) for name, counts in total.histograms.items()} == {
        **dict.fromkeys(FEATURES, 3),
        "latency": 0,  # a file has none
        "expected": 0,  # without a model's reference
    }
    for name, value in (("size", 50), ("confidence", 0.75), ("brightness", 120), ("contrast", 20), ("score", 0.65)):
        assert total.histograms[name] == {FEATURES[name].bin_of(value): 3}


def test_features_are_in_their_units() -> None:
    features = face_features(face())
    assert features["entropy"] == pytest.approx(0.8113, abs=1e-4)  # of 0.75 and 0.25, in bits: log2 of two classes is 1
    assert features["brightness"] == pytest.approx(120)
    assert features["contrast"] == pytest.approx(20)
    blurred, sharp = face(), face()
    assert blurred.raw.crop is not None
    assert sharp.raw.crop is not None
    blurred.raw.crop[:] = np.tile(np.linspace(100, 140, 48), (48, 1)).astype(np.uint8)
    assert face_features(sharp)["sharpness"] > 4 * face_features(blurred)["sharpness"]


def test_a_face_that_is_not_seen_gives_no_features(tmp_path: Path) -> None:
    total = record(tmp_path / "usage.sqlite", frame(0, 0.0, face(missed_s=0.2)), frame(1, 0.1, face(missed_s=0.3)))
    assert not any(total.histograms.values())
    assert total.face_s["happy"] == pytest.approx(0.1)


def test_a_live_source_tells_of_dropped_frames_and_latency(tmp_path: Path) -> None:
    now = time.monotonic()
    total = record(tmp_path / "usage.sqlite", *(frame(index, now, live=True) for index in (5, 6, 9)))
    assert (total.frames, total.dropped) == (3, 2)
    assert sum(total.histograms["latency"].values()) == 3


def test_latency_is_the_age_of_a_frame_and_a_minute_has_its_own_time(tmp_path: Path) -> None:
    """The machine has run for 5 000 seconds; a frame of 0.15 seconds ago, and one of the next minute."""
    path, now = tmp_path / "usage.sqlite", 5000.0
    store = UsageStore(path, MODEL)
    with UsageRecorder(store, "the record", wall_clock=lambda: MONDAY + now - 4990, clock=lambda: now) as recorder:
        assert recorder.description == "the record"
        recorder.emit(frame(0, now - 0.15, live=True))
        now += 50.0
        recorder.emit(frame(1, now - 0.15, live=True))
    rows = read_rows(path)
    assert [row.start for row in rows] == [MONDAY, MONDAY + MINUTE]
    edges = FEATURES["latency"].edges
    for row in rows:
        ((place, count),) = row.period.histograms["latency"].items()
        assert (count, edges[place - 1], edges[place]) == (1, 100, 200), "in milliseconds"


def test_each_loss_of_the_camera_counts(tmp_path: Path) -> None:
    path, now = tmp_path / "usage.sqlite", 0.0
    store = UsageStore(path, MODEL)
    with UsageRecorder(store, "the record", wall_clock=lambda: MONDAY, clock=lambda: now) as recorder:
        for index in range(3):
            recorder.emit(frame(index, now))
            now += 2.0
            recorder.waiting("the camera")
            now += 2.0
    (row,) = read_rows(path)
    assert (row.period.camera_losses, row.period.camera_lost_s) == (3, 6.0)


def test_time_after_a_gap_counts_for_one_second_at_most(tmp_path: Path) -> None:
    total = record(tmp_path / "usage.sqlite", frame(0, 0.0, face()), frame(1, 500.0, face()))
    assert total.face_s["happy"] == pytest.approx(1.0)


def test_a_lost_camera_is_counted_once_with_its_seconds(tmp_path: Path) -> None:
    path, now = tmp_path / "usage.sqlite", 0.0
    store = UsageStore(path, MODEL)
    with UsageRecorder(store, "the record", wall_clock=lambda: MONDAY, clock=lambda: now) as recorder:
        recorder.emit(frame(0, now))
        for _ in range(3):
            now += 3.0
            recorder.waiting("the camera")
        for index in (1, 2):
            now += 3.0
            recorder.emit(frame(index, now))
    (row,) = read_rows(path)
    assert (row.period.camera_losses, row.period.camera_lost_s) == (1, 9.0)


def test_a_camera_that_is_away_for_minutes_is_lost_in_each_for_its_part(tmp_path: Path) -> None:
    path, now = tmp_path / "usage.sqlite", 0.0
    store = UsageStore(path, MODEL)
    with UsageRecorder(store, "the record", wall_clock=lambda: MONDAY + now, clock=lambda: now) as recorder:
        recorder.emit(frame(0, now))
        for second in range(10, 150, 5):
            now = float(second)
            recorder.waiting("the camera")
        now = 160.0
        recorder.emit(frame(1, now))
    rows = read_rows(path)
    assert [(row.start - MONDAY, row.period.camera_lost_s) for row in rows] == [(0, 50.0), (60, 60.0), (120, 40.0)]
    assert sum(row.period.camera_losses for row in rows) == 1


def test_somebody_who_is_not_shown_for_a_moment_is_nobody_new(tmp_path: Path) -> None:
    here, hidden = face(), face()
    hidden = replace(hidden, track=replace(hidden.track, missed_s=0.5, visible=False))
    shown = [here, hidden, here]
    total = record(tmp_path / "usage.sqlite", *(frame(index, index / 2, one) for index, one in enumerate(shown)))
    assert (total.people, total.visits, dict(total.face_s)) == (1, {"happy": 1}, {"happy": 0.5})


@pytest.mark.parametrize(
    ("state", "note"), [("ok", ""), ("too little data", ""), ("watch", "drift: why"), ("drifted", "drift: why")]
)
def test_drift_is_a_remark_from_watch_on(tmp_path: Path, state: State, note: str) -> None:
    recorder = UsageRecorder(UsageStore(tmp_path / "usage.sqlite", MODEL), "the record")
    recorder._writer.drift.report = DriftReport(state, (), "why")
    assert recorder.note == note


def test_minutes_that_wait_for_a_disk_are_added_to_the_last_one_after_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each keeps its counts, and the heat that it was measured with; that it works again ends the trouble."""
    monkeypatch.setattr("fer_edge.monitoring.usage_writer.read_heat", lambda: Heat(61.5, None))

    class Full(UsageStore):
        is_full = True

        def append(self, start: int, period: Period) -> None:
            if self.is_full:
                raise OSError("No space left on device")
            super().append(start, period)

    sink, store = Sink(), Full(tmp_path / "usage.sqlite", MODEL)
    with store:
        writer = UsageWriter(sink, store, None)
        writer.start()
        for minute in range(70):
            writer.put(MONDAY + minute * MINUTE, Period(frames=1))
        wait_until(lambda: len(writer._waiting) == 60 and writer._tasks.empty())
        assert sink.trouble == "No space left on device"
        store.is_full = False
        writer.put(MONDAY + 70 * MINUTE, Period(frames=1))
        writer.finish()
    rows = read_rows(store.path)
    assert [row.start for row in rows] == [MONDAY + minute * MINUTE for minute in range(60)]
    assert [row.period.frames for row in rows] == [1] * 59 + [12]
    assert {row.period.hottest for row in rows} == {61.5}
    assert sink.trouble == ""


def test_a_clock_that_is_set_back_by_a_day_is_marked_and_loses_nothing(tmp_path: Path) -> None:
    path, wall, passed = tmp_path / "usage.sqlite", float(MONDAY + DAY), 0.0
    store = UsageStore(path, MODEL)
    with UsageRecorder(store, "the record", wall_clock=lambda: wall, clock=lambda: passed) as recorder:
        for minute in range(3):
            recorder.emit(frame(minute, float(minute), face()))
            wall += 60.0 - (float(DAY) if minute == 1 else 0.0)
            passed += 60.0
        recorder.emit(frame(3, 3.0, face()))
    rows = read_rows(path)
    assert sum(row.period.frames for row in rows) == 4
    assert [round(row.period.clock_step_s) for row in rows if row.period.clock_step_s] == [-DAY]
    assert min(row.start for row in rows) < MONDAY + DAY - HOUR


def busy_period() -> Period:
    """A period in which every bin and label is in use: the largest row there can be."""
    rng = np.random.default_rng(0)
    period = Period(frames=1800, dropped=12, people=31, camera_losses=1, camera_lost_s=0.125, hottest=61.7)
    for label in ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt", "uncertain"):
        period.face_s[label], period.visits[label] = 123.4, 17
    for name, feature in FEATURES.items():
        period.histograms[name] = Counter({index: int(rng.integers(1, 400)) for index in range(len(feature.edges) + 1)})
    return period


@pytest.mark.slow
def test_two_busy_years_stay_below_20_megabytes(tmp_path: Path) -> None:
    """Minutes are sparse but in the last two weeks, to save time: what stays of the others is one row per hour."""
    path = tmp_path / "usage.sqlite"
    with UsageStore(path, MODEL) as store:
        store.append(MONDAY, busy_period())
        with sqlite3.connect(path) as database:
            (text,) = database.execute("SELECT counts FROM periods").fetchone()
        for week in range(104):
            first = MONDAY + week * 7 * DAY
            with sqlite3.connect(path) as database:
                minutes = range(0, 7 * DAY // MINUTE, 30 if week < 102 else 1)
                added = [(first + minute * MINUTE, MINUTE, 1, text) for minute in minutes]
                database.executemany("INSERT INTO periods (start, seconds, model, counts) VALUES (?, ?, ?, ?)", added)
            store.tidy(first + 7 * DAY)
            assert path.stat().st_size <= MAX_BYTES
    rows = read_rows(path)
    end = MONDAY + 104 * 7 * DAY
    assert all(row.seconds == (MINUTE if row.start >= end - 7 * DAY else HOUR) for row in rows)
    hours = [row for row in rows if row.seconds == HOUR]
    assert all(row.period.frames == 2 * 1800 for row in hours[1:1000])
    assert len(hours) == 393 * 24


def test_old_minutes_become_hours_and_what_is_older_than_400_days_is_forgotten(tmp_path: Path) -> None:
    path, other = tmp_path / "usage.sqlite", ModelIdentity("ferplus7", "2.0.0", "1" * 64)
    now = MONDAY // DAY * DAY + HOUR // 2
    old, week, oldest = MONDAY // DAY * DAY - 8 * DAY, now - 7 * DAY, now - 400 * DAY + HOUR // 2
    with UsageStore(path, MODEL) as store:
        for number, start in enumerate(
            (oldest - 1, oldest, old, old + 59 * MINUTE, old + HOUR, week - HOUR // 2, week, now)
        ):
            store.append(start, Period(frames=2**number))
    with UsageStore(path, other) as store:
        store.append(old + MINUTE, Period(frames=1000))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("INSERT INTO periods (start, seconds, model, counts) VALUES (?, 60, 1, 'no')", (old,))
        store.tidy(now)
    assert [(row.start, row.seconds, row.model.version, row.period.frames) for row in read_rows(path)] == [
        (oldest, HOUR, "1.0.0", 2),
        (old, HOUR, "1.0.0", 4 + 8),
        (old, HOUR, "2.0.0", 1000),
        (old + HOUR, HOUR, "1.0.0", 16),
        (week - HOUR // 2, MINUTE, "1.0.0", 32),  # of an hour that is not over
        (week, MINUTE, "1.0.0", 64),
        (now, MINUTE, "1.0.0", 128),
    ]
    assert newest_model(path) == (MODEL, oldest)
    assert newest_model(path, old + 1) == (MODEL, old + HOUR)
    assert newest_model(path, now + 1) is None
    assert [row.start for row in iterate_rows(path, old + 1, week)] == [old + HOUR, week - HOUR // 2]
    with UsageStore(path, other) as store:
        store.append(now, Period(frames=1))
    assert newest_model(path) == (other, old), "of two that begin together, the later one"


def test_a_record_that_is_too_large_loses_its_oldest_rows_and_is_tidied_once_per_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_edge.monitoring.store.MAX_BYTES", 100_000)
    path, now = tmp_path / "usage.sqlite", 50.0
    monkeypatch.setattr("fer_edge.monitoring.store.time", SimpleNamespace(monotonic=lambda: now))

    def fill(start: int) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            rows = [(start + number, MINUTE, 1, os.urandom(300)) for number in range(1000)]
            database.executemany("INSERT INTO periods (start, seconds, model, counts) VALUES (?, ?, ?, ?)", rows)

    def starts() -> list[int]:
        with closing(sqlite3.connect(path)) as database:
            return [start for (start,) in database.execute("SELECT start FROM periods ORDER BY start")]

    with UsageStore(path, MODEL) as store:
        store.append(MONDAY, Period(frames=1))
        fill(MONDAY + 1)
        now += HOUR - 1
        store.append(MONDAY + 5000, Period(frames=1))
        assert len(starts()) == 1002
        now += 1
        store.append(MONDAY + 5001, Period(frames=1))
        kept = starts()
        assert kept == [*range(MONDAY + 1000 - len(kept) + 3, MONDAY + 1001), MONDAY + 5000, MONDAY + 5001]
        assert path.stat().st_size <= 100_000
        fill(MONDAY + 6000)
        now += HOUR - 1
        store.append(MONDAY + 7000, Period(frames=1))
        assert len(starts()) == len(kept) + 1001


@pytest.mark.parametrize("content", [b"", b"not a database" * 500, b"SQLite format 3\0" + bytes(4000)])
def test_a_damaged_record_is_kept_and_a_new_one_begins(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "usage.sqlite"
    path.write_bytes(content)
    assert record(path, frame(0, 0.0, face())).frames == 1
    if content:
        assert path.with_name("usage.sqlite.damaged-1").read_bytes() == content
        assert caplog.text.count("is damaged") == 1


def test_a_record_of_a_newer_version_is_kept_and_a_new_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    record(path, frame(0, 0.0))
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(ConfigError, match="newer version"):
        read_rows(path)
    assert record(path, frame(0, 0.0)).frames == 1
    assert path.with_name("usage.sqlite.newer-1").exists()


def test_two_processes_do_not_write_one_record(tmp_path: Path) -> None:
    with (
        UsageStore(tmp_path / "usage.sqlite", MODEL),
        pytest.raises(ConfigError, match="another process writes"),
        UsageStore(tmp_path / "usage.sqlite", MODEL),
    ):
        pass


def test_what_cannot_be_written_to_a_full_disk_is_written_later(small_disk: Path) -> None:
    path = small_disk / "usage.sqlite"
    with UsageRecorder(UsageStore(path, MODEL), "the record") as recorder:
        filling = small_disk / "filling"
        with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        recorder.emit(frame(0, 0.0, face()))
        recorder._close_minute()
        wait_until(lambda: bool(recorder.trouble), 20)
        filling.unlink()
        recorder.emit(frame(1, 0.1, face()))
    assert sum(row.period.frames for row in read_rows(path)) == 2
    assert not recorder.trouble


def test_what_another_program_locks_is_written_later(
    command: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "usage.sqlite"
    record(path, frame(0, 0.0))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with UsageRecorder(UsageStore(path, MODEL), "the record") as recorder:
            recorder.emit(frame(0, 1.0, face()))
            recorder._close_minute()
            wait_until(lambda: bool(recorder.trouble), 60)
            assert recorder.trouble == "database is locked"
            read = command("fer-edge", "stats", path)
            assert (read.returncode, read.stderr.count("\n")) == (2, 1), read.stderr
            assert "is locked by another program" in read.stderr
            other.execute("ROLLBACK")
            recorder.emit(frame(1, 1.1))
    assert sum(row.period.frames for row in read_rows(path)) == 3
    assert not recorder.trouble
    assert caplog.text.count("cannot be written (database is locked)") == 1
    assert {one.name for one in tmp_path.iterdir()} == {"usage.sqlite", "usage.sqlite.lock"}


def test_a_record_without_a_place_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file/usage.sqlite"
    with pytest.raises(ConfigError) as refusal, UsageStore(path, MODEL):
        pass
    assert str(refusal.value) == f"{path}: cannot be written (File exists)"


def test_kill_9_leaves_a_record_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    script = (
        "import sys; from pathlib import Path; from tests.edge.test_usage import *\n"
        "with UsageStore(Path(sys.argv[1]), MODEL) as store:\n"
        "    for minute in range(100000): store.append(MONDAY + 60 * minute, busy_period()); print(minute, flush=True)"
    )
    for attempt in range(3):
        process = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        written = [int(process.stdout.readline()) for _ in range(5 + attempt)]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        rows = read_rows(path)
        assert len(rows) >= len(written)
        assert all(row.period == busy_period() for row in rows)
        path.unlink()


def test_a_write_cut_by_a_loss_of_power_is_taken_back(open_path: Path) -> None:
    path, cut = open_path / "usage.sqlite", open_path / "cut" / "usage.sqlite"
    with UsageStore(path, MODEL) as store:
        for minute in range(5):
            store.append(MONDAY + 60 * minute, busy_period())
    before = read_rows(path)
    cut.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA cache_size = 1")  # written to the file before the transaction ends
        database.execute("UPDATE periods SET start = 0, counts = zeroblob(20000)")
        for name in ("usage.sqlite", "usage.sqlite-journal"):
            shutil.copy(path.with_name(name), cut.with_name(name))
        database.rollback()
    assert cut.read_bytes() != path.read_bytes()
    cut.chmod(0o444)
    with as_nobody(), pytest.raises(ConfigError, match="use sudo once"):
        read_rows(cut)
    cut.chmod(0o644)
    assert read_rows(cut) == before
    assert not cut.with_name("usage.sqlite-journal").exists()


def test_run_and_stats(command: Run, tmp_path: Path) -> None:
    config, usage = tmp_path / "config.toml", tmp_path / "state" / "usage.sqlite"
    config.write_text(f'[usage]\npath = "{usage}"\n')
    begin = time.monotonic()
    run = command("fer-edge", "run", "--source", "demo", "--max-frames", 60, "--config", config, cwd=tmp_path)
    most = time.monotonic() - begin
    assert run.returncode == 0, run.stderr
    shown = command("fer-edge", "stats", "--config", config, cwd=tmp_path)
    assert "happy" in shown.stdout
    assert shown.returncode == 0
    (day,) = json.loads(command("fer-edge", "stats", usage, "--json", cwd=tmp_path).stdout)
    assert day["frames"] == 60
    assert day["model"].startswith("ferplus7@")
    assert 1 < sum(day["face_s"].values()) <= most, "one face at a time, and no longer than the run"
    table = tmp_path / "stats.csv"
    assert command("fer-edge", "stats", usage, "--by", "hour", "--csv", table, cwd=tmp_path).returncode == 0
    (row,) = csv.DictReader(table.open())
    assert int(row["frames"]) == 60
    assert float(row["face_s_happy"]) == pytest.approx(day["face_s"]["happy"])
    picture = tmp_path / "stats.png"
    assert command("fer-edge", "stats", usage, "--plot", picture, cwd=tmp_path).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_of_stats_has_its_figures_in_their_units(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    noon = int(midnight.timestamp()) + 12 * HOUR
    busy = Period(frames=120, dropped=40, people=3, camera_losses=2, camera_lost_s=75, hottest=61.4)
    busy.face_s.update({"happy": 5400, "neutral": 1800, "sad": 300})
    with UsageStore(path, MODEL) as store:
        store.append(noon, busy)
        store.append(noon + HOUR, Period(frames=60, people=1))
    done = command("fer-edge", "stats", path, "--by", "hour", "--since", "1w", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    first, second = (row for row in rows if re.match(r"\d{4}-\d\d-\d\d 1[23]:00", row[0]))
    assert first[1:3] == ["3", "2 h 5 min"]
    assert first[4:] == ["2.0", "25%", "61 °C", "2x, 1 min 15 s"]
    assert second[1:] == ["1", "0 s", "nobody", "1.0", "0%", "-", "-"]
    assert "neutral 24%" in done.stdout
    assert "happy 72%" in done.stdout


def test_stats_without_a_record(command: Run, tmp_path: Path) -> None:
    missing = command("fer-edge", "stats", tmp_path / "none.sqlite", cwd=tmp_path)
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)
    assert "there is no usage record" in missing.stderr
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE x (y)")
    refused = command("fer-edge", "stats", other, cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)


def test_periods_are_added_up_by_local_day_and_week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        path = tmp_path / "usage.sqlite"
        # The clocks go back on Sunday, 25 October 2026: that day has 25 hours.
        midnight = int(datetime(2026, 10, 25).astimezone().timestamp())
        with UsageStore(path, MODEL) as store:
            for hour in range(-1, 26):
                store.append(midnight + hour * HOUR, Period(frames=1))
        rows = read_rows(path)
        days = {group.start.date().isoformat(): group.period.frames for group in group_rows(rows, "day")}
        assert days == {"2026-10-24": 1, "2026-10-25": 25, "2026-10-26": 1}
        weeks = {group.start.date().isoformat(): group.period.frames for group in group_rows(rows, "week")}
        assert weeks == {"2026-10-19": 26, "2026-10-26": 1}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_hottest_of_two_periods_is_that_of_both() -> None:
    for readings, hottest in (((60.0, 70.0), 70.0), ((70.0, 60.0), 70.0), ((None, 50.0), 50.0), ((None, None), None)):
        one, other = (Period(frames=1, hottest=reading) for reading in readings)
        one.add(other)
        assert (one.hottest, one.frames) == (hottest, 2)


def test_two_periods_of_one_kind_count_twice() -> None:
    total, twice = Period(), busy_period()
    for _ in range(2):
        total.add(busy_period())
    for name in ("frames", "dropped", "people", "camera_losses", "camera_lost_s"):
        assert getattr(total, name) == 2 * getattr(twice, name)
    assert total.face_s == {label: 2 * seconds for label, seconds in twice.face_s.items()}
    assert total.visits == {label: 2 * count for label, count in twice.visits.items()}
    for name, counts in twice.histograms.items():
        assert total.histograms[name] == {place: 2 * count for place, count in counts.items()}


def test_the_outer_bins_count_as_their_edges_in_a_mean() -> None:
    size = FEATURES["size"]
    assert size.mean(Counter({0: 3})) == 16
    assert size.mean(Counter({1: 1, 2: 1})) == (20 + 28) / 2
    assert size.mean(Counter({size.bin_of(9000): 2})) == 512
    assert size.mean(Counter()) is None


def test_since_is_a_span_or_a_date() -> None:
    now = datetime(2026, 11, 27, 12).astimezone()
    assert (now - parse_since("36h", now)).total_seconds() == 36 * HOUR
    assert (now - parse_since("90m", now)).total_seconds() == 1.5 * HOUR
    assert (now - parse_since("3d", now)).total_seconds() == 72 * HOUR
    assert (now - parse_since("2w", now)).total_seconds() == 14 * 24 * HOUR
    assert parse_since("2026-11-20", now).date().isoformat() == "2026-11-20"
    for wrong in ("7", "7y", "yesterday", "-3d"):
        with pytest.raises(ConfigError, match="--since"):
            parse_since(wrong, now)


def test_a_period_survives_json() -> None:
    assert Period.from_json(busy_period().as_json()) == busy_period()
    for wrong in ("[]", "{", '{"histograms": {"nose": {}}}', '{"face_s": 3}'):
        with pytest.raises(ValueError, match=r".+"):
            Period.from_json(wrong)


def test_no_port_no_picture_no_record_unless_asked_for(command: Run, tmp_path: Path) -> None:
    done = command("fer-edge", "run", "--source", "demo", "--max-frames", 3, cwd=tmp_path)
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())
