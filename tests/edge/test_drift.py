"""Drift: a change is named with its direction, and chance is not drift."""

import json
import logging
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from tests.conftest import Run
from tests.visitors import Scene, month, write_hours

from fer_edge.errors import ConfigError
from fer_edge.monitoring.drift import compare, js_distance, psi
from fer_edge.monitoring.drift_watch import DriftWatch, read_drift, set_baseline
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import DAY, HOUR, ModelIdentity

MODEL = ModelIdentity("ferplus7", "1.0.0", "0" * 64)
START = 1_780_000_000 // DAY * DAY


def write(path: Path, hours: list[Period], model: ModelIdentity = MODEL, start: int = START) -> int:
    """A record of these hours; returns its end."""
    return write_hours(path, hours, model, start)


def test_distances_are_those_of_the_literature() -> None:
    one, other = np.array([40.0, 30, 20, 10]), np.array([10.0, 20, 30, 40])
    smoothed = [(counts + 0.5) / (counts + 0.5).sum() for counts in (one, other)]
    assert js_distance(one, other) == pytest.approx(jensenshannon(*smoothed, base=2))
    assert psi(one, other) == pytest.approx(sum((p - q) * np.log(p / q) for p, q in zip(*smoothed, strict=True)))
    assert psi(one, one) == js_distance(one, one) == 0
    assert js_distance(np.array([1e9, 0.0]), np.array([0.0, 1e9])) == pytest.approx(1, abs=1e-3)


def test_a_quiet_month_is_no_drift(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    hours = month(seed=1, days=12)
    write(path, hours)
    for day in range(9, 13):
        assert read_drift(path, START + day * DAY).state == "ok"


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (Scene(light=0.5), "faces are darker"),
        (Scene(light=1.6), "faces are brighter"),
        (Scene(size=2.5), "faces are larger"),
        (Scene(sharpness=0.15), "faces are less sharp"),
    ],
)
def test_a_change_is_named_with_its_direction(scene: Scene, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    end = write(path, month(seed=2, days=12, changes={9: scene}))
    report = read_drift(path, end)
    assert report.state == "drifted"
    assert report.reason.startswith(sentence), report.reason
    assert read_drift(path, START + 10 * DAY).state == "ok", "one day is too short for an alarm"


def test_the_state_is_left_later_than_it_is_reached() -> None:
    def day(dark: int) -> Period:
        period = Period(people=100_000)
        for name, feature in FEATURES.items():
            period.histograms[name] = Counter(dict.fromkeys(range(len(feature.edges) + 1), 20000))
        period.histograms["brightness"] = Counter({2: 20_000 + dark, 6: 20_000, 9: 20_000, 13: 20_000 - dark // 4})
        return period

    reference = [day(0)] * 7
    high, middle = (compare(reference, [day(dark)] * 2) for dark in (60_000, 26_000))
    assert (high.state, middle.state) == ("drifted", "watch")
    assert compare(reference, [day(26_000)] * 2, before="drifted").state == "drifted"
    assert compare(reference, [day(0)] * 2, before="drifted").state == "ok"


def shifted(by: int, people: int = 100_000) -> Period:
    """A day whose faces are in their usual bins but for some that are brighter, or darker."""
    period = Period(people=people)
    for name, feature in FEATURES.items():
        period.histograms[name] = Counter(dict.fromkeys(range(len(feature.edges) + 1), 20_000))
    period.histograms["brightness"] = Counter({2: 20_000 - by, 6: 20_000, 9: 20_000, 13: 20_000 + by})
    return period


def test_days_that_change_in_opposite_directions_are_no_drift() -> None:
    reference = [shifted(0)] * 7
    assert compare(reference, [shifted(15_000)] * 2).state == "drifted"
    assert compare(reference, [shifted(15_000), shifted(-15_000)]).state == "ok"
    assert compare(reference, [shifted(15_000), shifted(0)]).state == "ok"


def test_few_people_differ_more_by_chance() -> None:
    """Ten are enough for a comparison, and chance explains much of what they show."""
    many, few, fewer = (compare([shifted(0)] * 7, [shifted(15_000, people)] * 2) for people in (100_000, 10, 9))
    chance = {feature.name: feature.by_chance for feature in few.features}
    assert (many.state, few.state, fewer.state) == ("drifted", "ok", "too little data")
    groups = 4
    expected = (2 / 700_000 + 2 / 10) * (groups - 1 + 2 * np.sqrt(2 * (groups - 1)))
    assert chance["brightness"] == pytest.approx(expected)
    assert few.as_dict()["state"] == "ok"


def test_a_watched_feature_is_watched_until_it_is_well_below() -> None:
    reference, slightly = [shifted(0)] * 7, [shifted(8_000)] * 2
    assert compare(reference, slightly).state == "ok"
    assert compare(reference, slightly, before="watch").state == "watch"
    assert compare(reference, slightly, before="drifted").state == "watch"


def test_too_little_data_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    end = write(path, [*month(seed=3, days=8), *[Period(frames=1)] * 48])
    assert read_drift(path, START + 5 * DAY).reason == "the reference week and two days more end in 96 hours"
    report = read_drift(path, end)
    assert (report.state, report.features) == ("too little data", ())
    assert "0 samples of 0 people" in report.reason


def test_another_model_is_compared_with_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    end = write(path, month(seed=4, days=9))
    write(path, month(seed=5, days=1), ModelIdentity("ferplus7", "2.0.0", "1" * 64), end)
    assert read_drift(path, end + DAY).state == "too little data"


def test_a_new_baseline_begins_a_new_reference_week(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    end = write(path, month(seed=6, days=20, changes={9: Scene(light=0.5)}))
    assert read_drift(path, end).state == "drifted"
    set_baseline(path, START + 10 * DAY)
    assert read_drift(path, end).state == "ok"
    done = command("fer-edge", "drift", "baseline", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing was recorded yet" in command("fer-edge", "drift", "show", path, cwd=tmp_path).stdout


def test_drift_show_exits_with_1_when_something_drifted(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    hours = month(seed=7, days=12, changes={9: Scene(light=0.4)})
    write(path, hours, start=int(time.time()) - len(hours) * HOUR)
    done = command("fer-edge", "drift", "show", path, cwd=tmp_path)
    assert done.returncode == 1
    assert "drift since the reference week: drifted (faces are darker" in done.stdout
    assert "brightness" in done.stdout
    done = command("fer-edge", "drift", "show", path, "--json", cwd=tmp_path)
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    assert shown["since_reference_week"]["state"] == "drifted"
    assert shown["since_reference_week"]["features"][0].keys() >= {"name", "psi", "by_chance", "distance"}
    assert shown["from_measured_faces"] is None, "the record is of an unknown model"


def write_days(path: Path, *days: Period) -> int:
    """A record of a day per row; returns its end."""
    for number, day in enumerate(days):
        write(path, [day], start=START + number * DAY)
    return START + len(days) * DAY


def test_a_state_that_was_reached_is_left_later_also_in_a_record(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    end = write_days(path, *[shifted(0)] * 7, *[shifted(8_000)] * 2)
    assert read_drift(path, end).state == "ok"
    assert read_drift(path, end, "drifted").state == "watch"
    early = read_drift(path, end - DAY)
    assert (early.state, early.features) == ("too little data", ())
    assert early.reason == "the reference week and two days more end in 24 hours"
    set_baseline(path, end)
    none_yet = read_drift(path, end)
    assert (none_yet.state, none_yet.features, none_yet.reason) == ("too little data", (), "nothing was recorded yet")
    with pytest.raises(ConfigError):
        set_baseline(tmp_path / "absent.sqlite", end)


def test_the_watch_knows_the_state_before_and_says_how_bad_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "usage.sqlite"
    now = float(write_days(path, *[shifted(0)] * 9))
    watch = DriftWatch(path, clock=lambda: now)
    assert (watch.report.state, watch.report.features) == ("too little data", ())
    states = []
    for by in (0, 15_000, 8_000, 0):
        watch.update()
        for _ in range(2):
            write(path, [shifted(by)], start=int(now))
            now += DAY
        watch.update()
        states.append(watch.report.state)
    assert states == ["ok", "drifted", "watch", "ok"]
    said = [record for record in caplog.records if record.message.startswith("drift: ")]
    assert [record.levelno for record in said] == [logging.WARNING, logging.WARNING, logging.INFO]
    assert said[0].message.startswith("drift: drifted, was ok: faces are brighter (brightness ")
    assert said[2].message == "drift: ok, was watch: as in the reference"


def test_each_change_of_state_is_one_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "usage.sqlite"
    now = float(write(path, month(seed=8, days=10)))
    watch = DriftWatch(path, clock=lambda: now)
    watch.update()
    assert watch.report.state == "ok"
    write(path, month(seed=9, days=4, changes={0: Scene(light=0.5)}), start=int(now))
    with caplog.at_level(logging.INFO):
        for _ in range(4 * 24 * 4):
            now += HOUR / 4
            watch.update()
    lines = [line.message for line in caplog.records if line.message.startswith("drift:")]
    assert "drifted" in lines[-1]
    assert len(lines) <= 3
    assert lines[-1].count("faces are darker") == 1


def test_the_watch_reads_again_after_an_hour_or_a_step_of_the_clock_and_at_once_after_a_failure(tmp_path: Path) -> None:
    path, now = tmp_path / "usage.sqlite", float(START + 9 * DAY)
    watch = DriftWatch(path, clock=lambda: now)
    watch.update()
    assert watch.report.reason == "not read yet", "there is no record"
    write_days(path, *[shifted(0)] * 9)
    watch.update()
    assert watch.report.state == "ok"
    for step, is_read in ((HOUR - 1, False), (HOUR, True), (-1, True)):
        before = watch.report
        now += step
        watch.update()
        assert (watch.report is not before) == is_read, step
        now -= step if not is_read else 0
