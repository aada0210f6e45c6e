"""Samples: few, balanced, one per visit, only for their owner, deleted after some days; labels are never lost."""

import csv
import json
import os
import random
import re
import shutil
import stat
import subprocess
import time
from collections import Counter
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run, wait_until
from tests.samples import DAY, NOON, make_folder
from tests.visitors import month, write_hours

from fer_edge import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.config import SamplesConfig
from fer_edge.errors import ConfigError
from fer_edge.model.bundle import MODEL_FILE, find_bundle, load_bundle
from fer_edge.monitoring.measured_accuracy import by_month, measure, wilson
from fer_edge.monitoring.reservoir import BalancedReservoir
from fer_edge.monitoring.sample import LabelledSample, Sample, new_id
from fer_edge.monitoring.sampler import Sampler
from fer_edge.monitoring.samples import LABELS_FILE, SEEN_FILE, SampleFolder
from fer_edge.monitoring.store import HOUR, ModelIdentity
from fer_train.data.datasets import load_dataset

MODEL = "ferplus7@0.1.0"


def face(identity: int, label: str = "happy", confidence: float = 0.9, grey: int = 100) -> TrackedFace:
    crop = np.full((48, 48), grey, np.uint8)
    raw = Prediction(np.array([confidence, 1 - confidence], np.float32), label, confidence, crop)
    return TrackedFace(Track(identity, FaceBox(0, 0, 40, 50), 1.0, 0.0), raw, raw)


def frame(at: float, *faces: TrackedFace) -> FrameResult:
    return FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), at), faces, {})


def run_visits(path: Path, visits: list[TrackedFace], *, count: int = 400, days: int = 30, now: float = NOON) -> None:
    """Each face comes, is seen for three seconds, and goes."""
    config = SamplesConfig(path=path, count=count, days=days)
    with Sampler(config, MODEL, clock=lambda: now, seed=1) as sampler:
        for index, one in enumerate(visits):
            for second in range(3):
                sampler.emit(frame(10.0 * index + second, one))
        sampler.emit(frame(10.0 * len(visits)))


def test_one_sample_per_visit_with_what_the_model_said(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    run_visits(path, [face(1, "happy", 0.9, 100), face(2, "sad", 0.4, 200)])
    folder = SampleFolder(path)
    first, second = sorted(folder.samples(), key=lambda sample: sample.label)
    assert (first.label, first.confidence, first.shown, first.model) == ("happy", 0.9, "happy", MODEL)
    assert (second.label, second.confidence, second.taken_at) == ("sad", 0.4, NOON)
    assert (folder.picture(first.id) == 100).all()
    assert (folder.picture(second.id) == 200).all()
    assert folder.seen() == {first.day: {"happy high": 1, "sad low": 1}}
    assert not folder.foreign_files()


def test_a_sample_tells_what_the_model_said_of_it_and_what_was_shown(tmp_path: Path) -> None:
    one = face(1, "sad", 0.4)
    run_visits(tmp_path / "samples", [replace(one, smoothed=replace(one.smoothed, label="happy", confidence=0.8))])
    (sample,) = SampleFolder(tmp_path / "samples").samples()
    assert (sample.label, sample.confidence, sample.shown) == ("sad", 0.4, "happy")


def test_what_was_not_seen_in_a_frame_or_has_no_picture_is_no_sample(tmp_path: Path) -> None:
    one, two, three = face(1), face(2), face(3)
    hidden = replace(one, track=replace(one.track, missed_s=0.1))
    invisible = replace(two, track=replace(two.track, visible=False))
    bare = replace(three, raw=replace(three.raw, crop=None))
    run_visits(tmp_path / "samples", [hidden, invisible, bare, face(4, "sad")])
    assert [sample.label for sample in SampleFolder(tmp_path / "samples").samples()] == ["sad"]


def test_a_sample_has_a_band_of_confidence_a_local_day_and_a_name_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        taken_at = 1_780_000_000  # 20:26:40 in UTC, and in Tokyo the next morning
        sample = Sample(new_id(taken_at), taken_at, "sad", 0.5, "happy", MODEL)
        assert re.fullmatch(r"20260528T202640Z-[0-9a-f]{6}", sample.id)
        assert sample.day == "2026-05-29"
    finally:
        monkeypatch.undo()
        time.tzset()
    bands = {0.0: "low", 0.4999: "low", 0.5: "medium", 0.7999: "medium", 0.8: "high", 1.0: "high"}
    assert {at: replace(sample, confidence=at).stratum for at in bands} == {at: f"sad {bands[at]}" for at in bands}
    plain = asdict(sample)
    for sure in (0.0, 0.5, 1.0):
        assert Sample.parse({**plain, "confidence": sure}) == replace(sample, confidence=sure)
    for wrong in ({"id": "../etc"}, {"confidence": 1.01}, {"confidence": -0.01}, {"label": None, "taken_at": None}):
        with pytest.raises(ValueError, match="is no sample"):
            Sample.parse({**plain, **wrong})
    for key in plain:
        with pytest.raises(ValueError, match="is no sample"):
            Sample.parse({name: value for name, value in plain.items() if name != key})


def test_a_sample_is_deleted_with_its_label_alone(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 3)
    folder.delete([samples[0].id])
    assert not (folder.folder / LABELS_FILE).exists(), "none was given"
    for sample in samples[1:]:
        folder.set_label(sample, "sad")
    folder.delete([samples[1].id])
    assert set(folder.labels()) == {samples[2].id}
    assert [sample.id for sample in folder.samples()] == [samples[2].id]
    folder.delete_all()
    folder.delete_all()
    assert not folder.samples()
    assert not folder.labels()


def test_the_picture_is_any_of_the_visit_not_its_first(tmp_path: Path) -> None:
    greys = set()
    for seed in range(12):
        path = tmp_path / str(seed)
        with Sampler(SamplesConfig(path=path), MODEL, clock=lambda: NOON, seed=seed) as sampler:
            for second in range(5):
                sampler.emit(frame(second, face(1, grey=50 * second)))
        (sample,) = SampleFolder(path).samples()
        greys.add(int(SampleFolder(path).picture(sample.id)[0, 0]))
    assert len(greys) >= 3


def test_a_sample_shows_the_face_of_its_moment(tmp_path: Path) -> None:
    one = face(1, grey=100)
    assert one.raw.crop is not None
    with Sampler(SamplesConfig(path=tmp_path / "samples"), MODEL, clock=lambda: NOON) as sampler:
        sampler.emit(frame(0.0, one))
        one.raw.crop[:] = 7  # its memory is used again
    folder = SampleFolder(tmp_path / "samples")
    (sample,) = folder.samples()
    assert (folder.picture(sample.id) == 100).all()


def test_old_samples_go_while_it_runs_and_counts_after_400_days(tmp_path: Path) -> None:
    folder, now = SampleFolder(tmp_path / "samples"), float(NOON)
    folder.create()
    days = [(datetime.fromtimestamp(NOON).astimezone() - timedelta(days=ago)).date().isoformat() for ago in (401, 400)]
    folder.write_seen({day: Counter({"happy high": 3}) for day in days})
    with Sampler(SamplesConfig(path=folder.folder, days=5), MODEL, clock=lambda: now) as sampler:
        for number, later in enumerate((0, 6 * DAY)):
            now = NOON + later
            sampler.emit(frame(10.0 * number, face(number)))
            sampler.emit(frame(10.0 * number + 5))
            wait_until(lambda: {sample.taken_at for sample in folder.samples()} == {int(now)})  # noqa: B023
            wait_until(lambda: [day in folder.seen() for day in days] == [False, later == 0])  # noqa: B023


def test_nobody_but_the_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    run_visits(path, [face(1)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.glob("2*")} == {0o600}
    path.chmod(0o750)
    with pytest.raises(ConfigError, match="chmod 700"):
        run_visits(path, [face(1)])


def test_samples_without_a_place_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as refusal:
        run_visits(tmp_path / "file/samples", [face(1)])
    assert str(refusal.value) == f"{tmp_path}/file/samples: cannot be created (Not a directory)"


def test_a_file_system_without_permissions_is_refused(tmp_path: Path) -> None:
    """As on FAT, whatever mode is asked for is 755."""
    behind, disk = tmp_path / "behind", tmp_path / "disk"
    behind.mkdir()
    disk.mkdir()
    if shutil.which("bindfs") is None:
        pytest.skip("no bindfs: sudo apt install bindfs")
    if subprocess.run(["bindfs", "--perms=0755", "--chmod-ignore", behind, disk], check=False).returncode:
        pytest.skip("a FUSE file system cannot be mounted here")
    try:
        with pytest.raises(ConfigError, match="as on FAT"):
            run_visits(disk / "samples", [face(1)])
        assert not list((disk / "samples").iterdir())
    finally:
        subprocess.run(["fusermount", "-u", "-z", disk], check=True)


def test_a_full_folder_stays_balanced_over_labels_and_days(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    for day in range(3):
        common = [face(index, "neutral", 0.9) for index in range(60)]
        rare = [face(100 + index, label, 0.6) for label in ("fear", "sad") for index in range(5)]
        visits = [*common, *rare]
        np.random.default_rng(day).shuffle(visits)
        run_visits(path, visits, count=30, now=NOON + day * DAY)
    folder = SampleFolder(path)
    samples = folder.samples()
    assert len(samples) == 30
    assert all(9 <= count <= 11 for count in Counter(sample.day for sample in samples).values())
    for date in {sample.day for sample in samples}:
        labels = Counter(sample.label for sample in samples if sample.day == date)
        assert min(labels["fear"], labels["sad"]) >= 3, "of 70 faces of a day, 5 are afraid"
        assert folder.seen()[date] == {"neutral high": 60, "fear medium": 5, "sad medium": 5}


def test_each_face_of_a_stratum_is_as_likely_to_be_kept_as_any_other() -> None:
    kept: Counter[int] = Counter()
    for seed in range(6000):
        reservoir, names = BalancedReservoir(5, random.Random(seed)), set()  # noqa: S311
        for index in range(40):
            stratum = "rare" if index in {3, 20, 33} else "common"
            is_kept, victim = reservoir.offer(str(index), "day", stratum)
            names |= {index} if is_kept else set()
            names -= {int(victim)} if victim is not None else set()
        assert len(names) == len(reservoir) == 5
        kept.update(names)
    common = [kept[index] for index in range(40) if index not in {3, 20, 33}]
    assert min(kept[index] for index in (3, 20, 33)) > 5 * max(common)
    assert max(common) < 1.6 * min(common), common


def test_only_earlier_days_are_forgotten() -> None:
    reservoir = BalancedReservoir(9, random.Random(0))  # noqa: S311
    for day in ("2026-05-31", "2026-06-01", "2026-06-02"):
        reservoir.restore(day, day, "happy high")
    reservoir.forget_before("2026-06-01")
    assert len(reservoir) == 2


def test_labelled_samples_are_removed_last(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    run_visits(path, [face(index) for index in range(10)], count=10)
    folder = SampleFolder(path)
    labelled = folder.samples()[:4]
    for sample in labelled:
        folder.set_label(sample, "happy")
    run_visits(path, [face(index) for index in range(60)], count=10)
    kept = {sample.id for sample in folder.samples()}
    assert len(kept) == 10
    assert {sample.id for sample in labelled} <= kept


def test_pictures_are_deleted_after_some_days_and_labels_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    run_visits(path, [face(1), face(2)], days=5)
    folder = SampleFolder(path)
    folder.set_label(folder.samples()[0], "sad")
    run_visits(path, [face(1)], days=5, now=NOON + 5 * DAY)
    assert len(folder.samples()) == 3
    run_visits(path, [face(1)], days=5, now=NOON + 6 * DAY)
    assert {sample.taken_at for sample in folder.samples()} == {NOON + 5 * DAY, NOON + 6 * DAY}
    assert [one.answer for one in folder.labels().values()] == ["sad"]


def test_a_smaller_count_applies_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    run_visits(path, [face(index) for index in range(30)])
    folder = SampleFolder(path)
    assert len(folder.samples()) == 30
    labelled = {sample.id for sample in folder.samples()[:6]}
    for sample in folder.samples()[:6]:
        folder.set_label(sample, "happy")
    run_visits(path, [], count=12)
    kept = {sample.id for sample in folder.samples()}
    assert len(kept) == 12
    assert labelled <= kept


def test_two_processes_do_not_sample_into_one_folder(tmp_path: Path) -> None:
    config = SamplesConfig(path=tmp_path / "samples")
    with Sampler(config, MODEL), pytest.raises(ConfigError, match="another process"), Sampler(config, MODEL):
        pass


def test_a_full_disk_is_logged_once_and_loses_no_label(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, samples = make_folder(small_disk / "samples", [("happy", 0.9)] * 20)
    folder.set_label(samples[0], "happy")
    filling = small_disk / "filling"
    with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(OSError, match="No space"):
        for sample in samples[1:] * 10:
            folder.set_label(sample, "sad")
    before = folder.labels()
    assert before[samples[0].id].answer == "happy"
    config = SamplesConfig(path=folder.folder)
    with pytest.raises(ConfigError, match="No space"), Sampler(config, MODEL, clock=lambda: NOON):
        pass
    filling.unlink()
    folder.set_label(samples[5], "fear")
    assert folder.labels()[samples[5].id].answer == "fear"
    assert {identity: folder.labels()[identity] for identity in before if identity != samples[5].id} == {
        identity: one for identity, one in before.items() if identity != samples[5].id
    }
    with Sampler(config, MODEL, clock=lambda: NOON) as sampler:
        with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        for index in range(40):
            sampler.emit(frame(float(index), face(index)))
    assert caplog.text.count("samples cannot be written") == 1
    assert {path.suffix for path in folder.folder.iterdir()} <= {".png", ".json", ".jsonl", ""}


def test_foreign_files_are_kept_and_reported(command: Run, tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 3)
    (folder.folder / "holiday.jpg").write_bytes(b"mine")
    (folder.folder / "20260601T999999Z-ffffff.json").write_text("{")
    (folder.folder / f"{samples[0].id}.png").write_bytes(b"")
    listed = command("fer-edge", "samples", "list", "--folder", folder.folder, cwd=tmp_path)
    assert listed.returncode == 0
    assert "2 other files are left alone" in " ".join(listed.stdout.split())
    broken = command("fer-edge", "samples", "show", tmp_path / "sheet.png", "--folder", folder.folder, cwd=tmp_path)
    assert (broken.returncode, len(broken.stderr.splitlines())) == (2, 1)
    assert samples[0].id in broken.stderr
    done = command("fer-edge", "samples", "delete", "--all", "--folder", folder.folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.folder.iterdir()} <= {"holiday.jpg", ".lock"}


@pytest.mark.parametrize("cut", [1, 40, 120])
def test_a_label_file_that_was_cut_in_half_loses_its_last_line_alone(tmp_path: Path, cut: int) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 4)
    for sample in samples[:3]:
        folder.set_label(sample, "sad")
    path = folder.folder / LABELS_FILE
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(folder.labels()) == (3 if cut == 1 else 2), "without its line end, a line is still whole"
    folder.set_label(samples[3], "fear")
    assert folder.labels()[samples[3].id].answer == "fear"
    assert folder.labels()[samples[0].id].answer == "sad"


def test_the_last_label_counts_and_can_be_taken_back(tmp_path: Path) -> None:
    folder, (one, two) = make_folder(tmp_path / "samples", [("happy", 0.9)] * 2)
    folder.set_label(one, "sad")
    folder.set_label(one, "angry")
    folder.set_label(two, "happy")
    folder.set_label(two, None)
    assert {identity: labelled.answer for identity, labelled in folder.labels().items()} == {one.id: "angry"}
    assert stat.S_IMODE((folder.folder / LABELS_FILE).stat().st_mode) == 0o600
    with pytest.raises(ValueError, match="none of"):
        folder.set_label(one, "joy")


def test_wilson_intervals_match_the_literature() -> None:
    rate = wilson(8, 10)  # Agresti and Coull, 1998: 0.490 to 0.943
    assert (rate.value, round(rate.low, 3), round(rate.high, 3)) == (0.8, 0.490, 0.943)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == pytest.approx(1)


def test_accuracy_counts_faces_as_they_occur(tmp_path: Path) -> None:
    """Of 100 faces 90 are read as neutral, all rightly; 10 as fear, all wrongly. The samples are half and half."""
    folder, samples = make_folder(tmp_path / "samples", [("neutral", 0.9)] * 10 + [("fear", 0.6)] * 10, per_day=20)
    seen = {
        samples[0].day: Counter({"neutral high": 90, "fear medium": 10}),
        "2026-05-01": Counter({"fear medium": 999}),
    }
    folder.write_seen(seen)
    for sample in samples:
        folder.set_label(sample, "neutral")
    measured = measure(folder.labels().values(), folder.seen())
    assert measured is not None
    assert measured.accuracy is not None
    assert measured.of_samples is not None
    assert measured.accuracy.value == pytest.approx(0.9)
    assert measured.of_samples.value == pytest.approx(0.5)
    assert measured.confidence == pytest.approx(0.9 * 0.9 + 0.1 * 0.6)
    # 20 samples of weights 9 and 1 are worth (10 * 9 + 10)^2 / (10 * 81 + 10) = 12.2
    assert measured.accuracy.low == pytest.approx(wilson(0.9 * 12.195, 12.195).low, abs=1e-3)
    assert measured.confusion == {"neutral": {"neutral": 10, "fear": 10}}
    uncounted = measure(folder.labels().values(), {})
    assert uncounted is not None
    assert uncounted.accuracy == uncounted.of_samples == measured.of_samples
    assert measured.recall["neutral"].value == 0.5


def test_no_faces_and_skipped_ones_do_not_count_and_months_are_apart(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 7, per_day=1)
    answers = ("happy", "happy", "sad", "skipped", "skipped", "not a face", "contempt")
    for sample, answer in zip(samples, answers, strict=True):
        folder.set_label(sample, answer)
    measured = measure(folder.labels().values(), folder.seen())
    assert measured is not None
    assert (measured.labelled, measured.no_faces, measured.skipped) == (4, 1, 2)
    assert (measured.first_day, measured.last_day) == ("2026-06-01", "2026-06-07")
    older = [LabelledSample(replace(samples[0], model="older@1", taken_at=NOON - number), "sad") for number in (1, 2)]
    assert measure([*folder.labels().values(), *older], folder.seen()) == measured, "the newest model counts"
    assert measured.of_samples is not None
    assert measured.of_samples.value == pytest.approx(2 / 4), "a label that the model does not have is always wrong"
    assert list(by_month(folder.labels().values(), folder.seen())) == ["2026-06"]


@pytest.mark.parametrize("answer", ["skipped", "not a face"])
def test_answers_that_are_no_label_measure_nothing(tmp_path: Path, answer: str) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 2)
    assert measure([], {}) is None
    for sample in samples:
        folder.set_label(sample, answer)
    measured = measure(folder.labels().values(), folder.seen())
    assert measured is not None
    assert (measured.labelled, measured.no_faces + measured.skipped) == (0, 2)
    assert (measured.accuracy, measured.of_samples, measured.confidence) == (None, None, None)
    assert (measured.recall, measured.confusion) == ({}, {})


def test_a_run_of_the_demo_keeps_its_one_visit(command: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[samples]\npath = "{tmp_path}/samples"\n')
    done = command("fer-edge", "run", "demo", "--max-frames", 60, "--config", config, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = command("fer-edge", "samples", "list", "--json", "--config", config, cwd=tmp_path)
    (sample,) = json.loads(listed.stdout)
    assert sample["model"].startswith("ferplus7@")
    assert sample["answer"] is None
    sheet = tmp_path / "sheet.png"
    assert command("fer-edge", "samples", "show", sheet, "--config", config, cwd=tmp_path).returncode == 0
    image = cv2.imread(str(sheet))
    assert image is not None
    assert image[:96, :96].std() > 20


def test_hidden_faces_are_not_sampled(command: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'blur = true\n[samples]\npath = "{tmp_path}/samples"\n')
    refused = command("fer-edge", "run", "demo", "--max-frames", 2, "--config", config, cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "contradict" in refused.stderr
    assert not (tmp_path / "samples").exists()


def test_export_is_a_data_set_that_is_split_by_day(command: Run, tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 12, per_day=3)
    out = tmp_path / "out"

    def export() -> int:
        return command("fer-edge", "samples", "export", out, "--folder", folder.folder, cwd=tmp_path).returncode

    assert export() == 2, "no label yet"
    for sample in samples[:3]:
        folder.set_label(sample, "happy")
    assert export() == 2, "one day cannot be split"
    assert not out.exists()
    answers = ["happy", "sad", "happy"] * 3 + ["sad", "not a face", "contempt"]
    for sample, answer in zip(samples, answers, strict=True):
        folder.set_label(sample, answer)
    assert export() == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    train, validation = (load_dataset(out, split, "fer2013") for split in ("train", "validation"))
    assert (train.support, validation.support) == ({"happy": 4, "sad": 2}, {"happy": 2, "sad": 2})
    rows = list(csv.DictReader((out / "samples.csv").open()))
    days = {split: {row["day"] for row in rows if row["file"].startswith(split)} for split in ("train", "validation")}
    assert not days["train"] & days["validation"]
    exported = cv2.imread(str(out / rows[1]["file"]), cv2.IMREAD_GRAYSCALE)
    assert exported is not None
    assert np.array_equal(exported, folder.picture(samples[1].id))
    assert export() == 2, "it is there already"


def test_deleting_takes_pictures_and_labels(command: Run, tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 4, per_day=1)
    for sample in samples:
        folder.set_label(sample, "happy")

    def delete(*what: object) -> int:
        return command("fer-edge", "samples", "delete", *what, "--folder", folder.folder, cwd=tmp_path).returncode

    assert delete(samples[3].id) == 0
    assert delete("--before", samples[1].day) == 0
    assert [sample.id for sample in folder.samples()] == [sample.id for sample in samples[1:3]]
    assert set(folder.labels()) == {sample.id for sample in samples[1:3]}
    assert delete() == delete("--all", samples[1].id) == delete("nobody") == delete("--before", "soon") == 2
    assert delete("../../etc/passwd") == 2
    assert len(folder.samples()) == 2
    assert delete("--all") == 0
    assert not {LABELS_FILE, SEEN_FILE} & {path.name for path in folder.folder.iterdir()}


def test_accuracy_beside_the_model_card(command: Run, tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 4)
    none = command("fer-edge", "samples", "accuracy", "--folder", folder.folder, cwd=tmp_path)
    assert "no sample has a label yet" in none.stdout
    for sample, answer in zip(samples, ("happy", "happy", "happy", "sad"), strict=True):
        folder.set_label(sample, answer)
    shown = command("fer-edge", "samples", "accuracy", "--folder", folder.folder, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "75.0" in shown.stdout
    plain = json.loads(
        command("fer-edge", "samples", "accuracy", "--folder", folder.folder, "--json", cwd=tmp_path).stdout
    )
    assert plain["recall"]["happy"]["value"] == 1


def test_accuracy_beside_the_expected_one_of_those_days(command: Run, tmp_path: Path) -> None:
    manifest = load_bundle(find_bundle("ferplus7")).manifest
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 12, model=f"ferplus7@{manifest.version}")
    for sample in samples:
        folder.set_label(sample, "happy")
    hours = month(seed=1, days=3)  # the samples are of the first two days
    for index, hour in enumerate(hours):
        hour.histograms["expected"] = Counter({16 if index < 48 else 4: hour.histograms["confidence"].total()})
    identity = ModelIdentity(manifest.name, manifest.version, manifest.files[MODEL_FILE])
    write_hours(tmp_path / "usage.sqlite", hours, identity, NOON - 12 * HOUR)
    config = tmp_path / "config.toml"
    config.write_text(f'[samples]\npath = "{folder.folder}"\n[usage]\npath = "{tmp_path}/usage.sqlite"\n')
    shown = command("fer-edge", "samples", "accuracy", "--config", config, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    (row,) = [line for line in shown.stdout.splitlines() if "expected accuracy, without labels" in line]
    assert "82.5" in row
    (tmp_path / "usage.sqlite").write_text("no record")
    without = command("fer-edge", "samples", "accuracy", "--config", config, cwd=tmp_path)
    assert without.returncode == 0, without.stderr
    assert "expected accuracy" not in without.stdout


def test_commands_without_samples(command: Run, tmp_path: Path) -> None:
    for options in ((), ("--folder", tmp_path / "none")):
        done = command("fer-edge", "samples", "list", *options, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    unreadable = tmp_path / "file"
    unreadable.write_bytes(os.urandom(10))
    assert command("fer-edge", "samples", "list", "--folder", unreadable, cwd=tmp_path).returncode == 2
