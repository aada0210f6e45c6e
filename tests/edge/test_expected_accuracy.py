"""The accuracy to expect without labels: by confidence, contrast and sharpness, and when not to trust it."""

import re
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run
from tests.edge.test_usage import frame
from tests.visitors import Scene, month, write_expected, write_hours

from fer_edge import FaceBox, Prediction, Track, TrackedFace
from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import MODEL_FILE, find_bundle, load_bundle
from fer_edge.model.manifest import Manifest
from fer_edge.model.reference import Reference
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.drift import LEAST_PEOPLE, LEAST_SAMPLES
from fer_edge.monitoring.drift_watch import (
    DriftWatch,
    read_drift,
    read_expected_accuracy,
    read_expected_between,
    read_model_drift,
)
from fer_edge.monitoring.expected_accuracy import (
    chance_right,
    expected_accuracy,
    is_usual,
    outside_share,
    terms,
    usable,
)
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import DAY, ModelIdentity, UsageStore, read_rows
from fer_edge.monitoring.usage import UsageRecorder

MANIFEST = load_bundle(find_bundle("ferplus7")).manifest
IDENTITY = ModelIdentity(MANIFEST.name, MANIFEST.version, MANIFEST.files[MODEL_FILE])
START = 1_780_000_000 // DAY * DAY


@pytest.fixture(scope="module")
def reference() -> Reference:
    assert MANIFEST.reference is not None
    return MANIFEST.reference


def period(reference: Reference, chance: float, people: int = 100, **moved: int) -> Period:
    """Faces as in the reference, but for features that are moved to one bin."""
    made = Period(people=people)
    for name in ("brightness", "contrast", "sharpness"):
        made.histograms[name] = Counter(reference.histograms[name])
        if name in moved:
            made.histograms[name] = Counter({moved[name]: reference.faces})
    made.histograms["expected"] = Counter({FEATURES["expected"].bin_of(chance): 1000})
    return made


@pytest.mark.parametrize("name", ["fer2013", "ferplus7", "ferplus7-tiny", "ferplus8"])
def test_each_shipped_bundle_has_a_reference_of_its_own_faces(name: str) -> None:
    manifest = load_bundle(find_bundle(name)).manifest
    found = manifest.reference
    assert found is not None
    assert found.labels == manifest.accuracy[0].labels
    assert all(sum(counts.values()) == found.faces for counts in found.histograms.values())
    assert set(found.estimate.weights) == set(terms(0.5, 50, 100))
    assert abs(found.accuracy - manifest.accuracy[0].accuracy_int8) < 0.06, "faces that are found are a little easier"


def test_sure_and_clear_faces_are_right_more_often_than_unsure_or_blurred_ones(reference: Reference) -> None:
    face = load_composites()["happy"]
    blurred = np.asarray(cv2.GaussianBlur(face, (0, 0), 4), np.uint8)
    sharp = np.asarray(np.clip(face + np.random.default_rng(0).normal(0, 6, face.shape), 0, 255), np.uint8)
    clear, dull = (crop_statistics(picture) for picture in (sharp, blurred))
    assert chance_right(reference.estimate, 0.95, clear) > chance_right(reference.estimate, 0.5, clear) + 0.2
    assert chance_right(reference.estimate, 0.9, clear) > chance_right(reference.estimate, 0.9, dull) + 0.05
    assert 0 < chance_right(reference.estimate, 0.0, dull) < chance_right(reference.estimate, 1.0, clear) < 1


def test_the_terms_of_a_face_are_as_documented() -> None:
    assert terms(0.75, 50, 400) == pytest.approx(
        {
            "logit": np.log(3),
            "contrast": np.log(51),
            "low_contrast": 2.7,
            "sharpness": np.log(401 / 51**2),
            "blur": np.log(401 / 51**2),
        }
    )
    low = terms(0.5, 9, 999)
    assert (low["low_contrast"], low["sharpness"], low["blur"]) == pytest.approx((np.log(10), np.log(10), -1))
    assert [terms(sure, 9, 9)["logit"] for sure in (0, 1)] == pytest.approx([-np.log(999), np.log(999)])


def test_so_many_faces_of_so_many_people_are_enough(reference: Reference) -> None:
    for faces, people, is_enough in (
        (LEAST_SAMPLES, LEAST_PEOPLE, True),
        (LEAST_SAMPLES - 1, LEAST_PEOPLE, False),
        (LEAST_SAMPLES, LEAST_PEOPLE - 1, False),
    ):
        few = period(reference, 0.77, people)
        few.histograms["expected"] = Counter({15: faces})
        assert bool(expected_accuracy([few], reference)) == is_enough


def test_the_interval_holds_chance_and_the_estimates_own_error(reference: Reference) -> None:
    few, many = (expected_accuracy([period(reference, 0.77, people)], reference) for people in (20, 100_000))
    assert few is not None
    assert many is not None
    assert few.accuracy == many.accuracy == pytest.approx(0.775)
    assert many.high - many.accuracy == pytest.approx(1.96 * reference.estimate.error, rel=0.01)
    sampling = (0.775 * 0.225 / 20) ** 0.5
    assert few.accuracy - few.low == pytest.approx(1.96 * (sampling**2 + reference.estimate.error**2) ** 0.5, rel=0.01)
    assert expected_accuracy([period(reference, 0.77, people=3)], reference) is None
    assert expected_accuracy([], reference) is None


def test_faces_unlike_any_of_the_fit_are_not_to_be_trusted(reference: Reference) -> None:
    usual = expected_accuracy([period(reference, 0.8)], reference)
    assert usual is not None
    assert usual.trusted
    white = expected_accuracy([period(reference, 0.8, brightness=15)], reference)
    assert white is not None
    assert not white.trusted
    assert "100% of the faces are brighter" in white.reason


@pytest.mark.parametrize(
    ("name", "bin_", "words"),
    [
        ("brightness", 15, "brighter"),
        ("brightness", 0, "darker"),
        ("contrast", 15, "of higher contrast"),
        ("contrast", 0, "of lower contrast"),
        ("sharpness", 13, "sharper or noisier"),
        ("sharpness", 0, "less sharp"),
    ],
)
def test_the_reason_names_what_is_unlike_and_how_many(reference: Reference, name: str, bin_: int, words: str) -> None:
    usual, unlike = period(reference, 0.8), period(reference, 0.8)
    unlike.histograms[name] = Counter({bin_: 2 * reference.faces})
    for other in {"brightness", "contrast", "sharpness"} - {name}:
        middle, _ = Counter(reference.histograms[other]).most_common(1)[0]
        for one in (usual, unlike):
            one.histograms[other] = Counter({middle: reference.faces})
    usual.histograms[name] = Counter({Counter(reference.histograms[name]).most_common(1)[0][0]: reference.faces})
    found = expected_accuracy([usual, unlike], reference)
    assert found is not None
    assert found.reason == (
        f"not to be trusted: 67% of the faces are {words} than nearly all that the model was measured on"
    )


def test_a_face_lies_outside_where_three_in_a_hundred_of_the_reference_lie_beyond(reference: Reference) -> None:
    counts = {2: 30, 3: 1, 5: 938, 8: 1, 9: 30}
    known = reference.model_copy(update={"histograms": {**reference.histograms, "brightness": counts}})
    outside = [bin_ for bin_ in range(16) if outside_share("brightness", Counter({bin_: 4}), known)]
    assert outside == [0, 1, 2, 10, 11, 12, 13, 14, 15]
    assert outside_share("brightness", Counter({0: 1, 5: 3}), known) == 0.25
    assert outside_share("brightness", Counter(), known) == 0


def test_the_chance_is_a_logistic_function_of_the_weighted_terms(reference: Reference) -> None:
    estimate = reference.estimate.model_copy(update={"bias": 0.5, "weights": {"logit": 2.0, "contrast": -1.0}})
    face = {"brightness": 99.0, "contrast": 1.0, "sharpness": 5.0}
    assert chance_right(estimate, 0.75, face) == pytest.approx(1 / (1 + 2 / 9 * np.exp(-0.5)))
    sure, never = (estimate.model_copy(update={"bias": bias}) for bias in (1e6, -1e6))
    assert [chance_right(one, 0.75, face) for one in (sure, never)] == pytest.approx([1, np.exp(-30)], rel=1e-9)


def test_it_is_trusted_while_half_of_the_faces_look_as_usual() -> None:
    assert is_usual([0.0, 0.5, 0.2])
    assert not is_usual([0.0, 0.51, 0.2])


def test_a_run_records_the_chance_of_each_face(tmp_path: Path, reference: Reference) -> None:
    crop = load_composites()["happy"]
    raw = Prediction(np.array([0.9, 0.1], np.float32), "happy", 0.9, crop)
    unsteady = Prediction(np.array([0.4, 0.6], np.float32), "sad", 0.6)
    face = TrackedFace(Track(1, FaceBox(0, 0, 50, 50), 1.0, 0.0), raw, unsteady)
    path = tmp_path / "usage.sqlite"
    with UsageRecorder(UsageStore(path, IDENTITY), "the record", reference) as recorder:
        recorder.emit(frame(0, 0.0, face))
        assert recorder.expected_accuracy is None, "one face says nothing"
        assert recorder.note == ""
    (row,) = read_rows(path)
    chance = chance_right(reference.estimate, 0.9, crop_statistics(crop))
    assert row.period.histograms["expected"] == {FEATURES["expected"].bin_of(chance): 1}


def test_between_two_days_the_faces_of_the_newest_model_count(tmp_path: Path, reference: Reference) -> None:
    path, older = tmp_path / "usage.sqlite", ModelIdentity("older", "1", "0" * 64)

    def at(day: int, hour: int, minute: int = 0) -> int:
        return int(datetime(2026, 6, day, hour, minute).astimezone().timestamp())

    with UsageStore(path, older) as store:
        store.append(at(2, 12), period(reference, 0.97))
    with UsageStore(path, IDENTITY) as store:
        for start, chance in ((at(1, 23, 59), 0.02), (at(2, 0), 0.52), (at(3, 23, 59), 0.77), (at(4, 0), 0.02)):
            store.append(start, period(reference, chance))
    found = read_expected_between(path, "2026-06-02", "2026-06-03", reference)
    assert found is not None
    assert found.accuracy == pytest.approx((0.525 + 0.775) / 2)
    assert read_expected_between(path, "2026-06-05", "2026-06-06", reference) is None


def test_the_watch_reads_it_once_per_hour(tmp_path: Path, reference: Reference) -> None:
    path = tmp_path / "usage.sqlite"
    hours = month(seed=1, days=3)
    for hour in hours:
        hour.histograms["expected"] = Counter({16: hour.histograms["confidence"].total()})
    now = write_hours(path, hours, IDENTITY, START)
    watch = DriftWatch(path, reference, clock=lambda: now)
    watch.update()
    assert watch.expected == read_expected_accuracy(path, now, reference)
    assert watch.expected is not None
    assert watch.expected.accuracy == pytest.approx(0.825)


def test_drift_from_the_models_own_faces_names_the_direction(tmp_path: Path, reference: Reference) -> None:
    path = tmp_path / "usage.sqlite"
    write_hours(path, month(seed=1, days=2, changes={0: Scene(light=0.3)}), IDENTITY, START)
    report = read_model_drift(path, START + 2 * DAY, reference)
    assert report.state == "drifted"
    assert "faces are darker" in report.reason
    assert {feature.name for feature in report.features} == {"brightness", "contrast", "sharpness"}


def test_stats_and_drift_show_it(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    write_expected(path)
    shown = command("fer-edge", "stats", path, "--drift", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "drift since the reference week: too little data" in shown.stdout
    assert "expected accuracy: 82.5% (95 % interval" in shown.stdout


def test_a_reference_of_another_version_is_left_out_and_one_of_other_labels_is_refused(
    reference: Reference, caplog: pytest.LogCaptureFixture
) -> None:
    assert usable(reference) is reference
    weights = {**reference.estimate.weights, "smell": 1.0}
    unknown = reference.model_copy(update={"estimate": reference.estimate.model_copy(update={"weights": weights})})
    beyond = reference.model_copy(update={"histograms": {**reference.histograms, "contrast": {99: 5}}})
    without = reference.model_copy(update={"histograms": {}})
    for other in (unknown, beyond, without):
        caplog.clear()
        assert usable(other) is None
        assert "another version of fer-edge" in caplog.text
    others = reference.model_copy(update={"labels": "ferplus8"})
    with pytest.raises(ValueError, match="reference: its labels are those of ferplus8, not the model's"):
        Manifest.model_validate(MANIFEST.model_copy(update={"reference": others}).model_dump())


def test_nobody_for_a_month_is_too_little_data(command: Run, tmp_path: Path, reference: Reference) -> None:
    path = tmp_path / "usage.sqlite"
    now = write_hours(path, [Period(frames=100_000)] * (30 * 24), IDENTITY, START)
    assert read_drift(path, now).state == "too little data"
    assert read_model_drift(path, now, reference).state == "too little data"
    assert read_expected_accuracy(path, now, reference) is None
    shown = command("fer-edge", "stats", path, "--since", "2020-01-01", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("identity", [ModelIdentity("mine", "1", "0" * 64), ModelIdentity("ferplus7", "0", "0" * 64)])
def test_a_record_of_another_model_has_no_reference(command: Run, tmp_path: Path, identity: ModelIdentity) -> None:
    path = tmp_path / "usage.sqlite"
    with UsageStore(path, identity) as store:
        store.append(int(time.time()), Period(frames=3))
    shown = command("fer-edge", "drift", "show", path, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "its bundle was not found" in shown.stdout


def test_drift_show_has_the_reference_before_the_present_and_an_interval_in_order(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    hours = month(seed=7, days=12, changes={9: Scene(light=0.4)})
    for hour in hours:
        hour.histograms["expected"] = Counter({16: hour.histograms["confidence"].total()})
    write_hours(path, hours, IDENTITY, int(time.time()) - len(hours) * 3600)
    done = command("fer-edge", "drift", "show", path, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    headings, brightness, *_ = (
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        for line in done.stdout.splitlines()
        if "feature" in line or "│ brightness" in line
    )
    assert headings == ["feature", "reference", "now", "PSI", "by chance", "Jensen-Shannon distance"]
    before, now, *numbers = map(float, brightness[1:])
    assert 110 < before < 150
    assert now == pytest.approx(0.4 * before, rel=0.15)
    (features,) = [one for one in read_drift(path, int(time.time())).features if one.name == "brightness"]
    assert numbers == [round(one, 2) for one in (features.psi, features.by_chance, features.distance)]
    found = re.search(r"expected accuracy: ([\d.]+)% \(95 % interval ([\d.]+)% to ([\d.]+)%\)", done.stdout)
    assert found
    accuracy, low, high = map(float, found.groups())
    assert low < accuracy < high
    assert accuracy == pytest.approx(82.5, abs=0.1)


def test_a_record_of_other_files_under_the_same_name_has_no_reference(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    hours = month(seed=1, days=3)
    write_hours(path, hours, replace(IDENTITY, sha256="0" * 64), int(time.time()) - len(hours) * 3600)
    done = command("fer-edge", "drift", "show", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "drift from the model's own faces: its bundle was not found, or has no reference" in done.stdout
    assert "expected accuracy" not in done.stdout
