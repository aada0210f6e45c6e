"""The report's figures: each number is at its place in the pictures and on the cards, in its unit."""

import os
import re
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.samples import make_folder

from fer_edge import __version__
from fer_edge.errors import ConfigError
from fer_edge.monitoring import report, report_plots
from fer_edge.monitoring.drift import DriftReport, FeatureDrift
from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.measured_accuracy import MeasuredAccuracy, Rate
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.report import ReportInput, make_report, write_report
from fer_edge.monitoring.stats import Group
from fer_edge.monitoring.store import HOUR, ModelIdentity, UsageStore
from fer_edge.sinks.overlay import COLOURS

MONDAY = datetime(2026, 6, 1).astimezone()


def group(start: datetime, **counts: Any) -> Group:
    """A day, of which ten hours were recorded."""
    return Group(start, 36_000, ("m@1",), Period(**counts))


DAYS = [
    group(
        MONDAY,
        frames=360_000,
        people=3,
        face_s=defaultdict(float, happy=600.0, sad=300.0),
        camera_losses=2,
        camera_lost_s=120.0,
        hottest=61.5,
    ),
    group(MONDAY + timedelta(days=1), people=1, face_s=defaultdict(float, sad=60.0)),
]


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The axes of what is drawn."""
    drawn: list[Any] = []

    def keep(figure: Any) -> str:
        drawn.extend(figure.axes)
        return ""

    monkeypatch.setattr(report_plots, "as_svg", keep)
    return drawn


def bars(axes: Any) -> list[tuple[float, float]]:
    """Bottom and height of each."""
    return [(bar.get_y(), bar.get_height()) for bar in axes.patches]


def test_minutes_of_each_label_are_stacked_in_its_colour(axes: list[Any]) -> None:
    report_plots.draw_labels(DAYS)
    upper, lower = axes
    assert bars(upper) == [(0, 10), (0, 0), (10, 5), (0, 1)], "happy of both days, then sad above it"
    blue, green, red = COLOURS["happy"]
    assert upper.patches[0].get_facecolor()[:3] == pytest.approx((red / 255, green / 255, blue / 255))
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["happy", "sad"]
    assert bars(lower) == [(0, 3), (0, 1)]


def test_a_week_has_its_minutes_by_weekday_and_hour(axes: list[Any]) -> None:
    hours = (
        (MONDAY.replace(hour=7), 600.0),
        (MONDAY + timedelta(days=6, hours=22), 60.0),
        (MONDAY + timedelta(days=7, hours=7), 1200.0),
    )
    report_plots.draw_week([group(start, face_s=defaultdict(float, happy=seconds)) for start, seconds in hours])
    table = axes[0].images[0].get_array()
    assert table.shape == (7, 24)
    assert [label.get_text() for label in axes[0].get_yticklabels()][::6] == ["Mon", "Sun"]
    assert {(row, hour): table[row, hour] for row in range(7) for hour in range(24) if table[row, hour]} == {
        (0, 7): 30.0,
        (6, 22): 1.0,
    }


def test_each_feature_has_its_mean_and_its_own_reference(axes: list[Any]) -> None:
    wanted = {"brightness": 120.0, "contrast": 33.0, "sharpness": 96.0, "size": 80.0}
    histograms = {name: Counter({feature.bin_of(wanted.get(name, 0)): 5}) for name, feature in FEATURES.items()}
    report_plots.draw_features([group(MONDAY, histograms=histograms), group(MONDAY)], {"contrast": 40.0, "size": 70.0})
    assert [one.get_title() for one in axes] == [f"{name}, {FEATURES[name].unit}" for name in wanted]
    for one, (name, value) in zip(axes, wanted.items(), strict=True):
        means = one.lines[0].get_ydata()
        assert means[0] == pytest.approx(value), name
        assert means[1] != means[1], "nothing where nobody was"
        assert [line.get_ydata()[0] for line in one.lines[1:]] == {"contrast": [40.0], "size": [70.0]}.get(name, [])


def test_accuracy_is_in_per_cent_and_the_measured_one_in_its_month(axes: list[Any]) -> None:
    expected = {name: Counter({FEATURES[name].bin_of(0.825): 1} if name == "expected" else {}) for name in FEATURES}
    days = [
        group(start, histograms=expected) for start in (MONDAY - timedelta(days=1), MONDAY, MONDAY.replace(year=2027))
    ]
    rate = Rate(0.75, 0.5, 0.875)
    measured = MeasuredAccuracy("m@1", "2026-06-01", "2026-06-02", 20, 0, 0, rate, rate, 0.8, {}, {})
    report_plots.draw_accuracy(days, {"2026-06": measured})
    (one,) = axes
    first, second = one.lines
    assert list(first.get_ydata()) == pytest.approx([82.5] * 3)
    assert (list(second.get_xdata()), list(second.get_ydata())) == ([1], [75.0])
    band = one.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (50.0, 87.5)
    assert one.get_ylim() == (0, 100)


def test_faults_are_frames_per_second_minutes_and_degrees(axes: list[Any]) -> None:
    report_plots.draw_faults(DAYS)
    rate, lost, hottest = axes
    assert bars(rate) == [(0, 10), (0, 0)], "360 000 frames in 36 000 seconds"
    assert bars(lost) == [(0, 2), (0, 0)]
    assert hottest.lines[0].get_ydata()[0] == 61.5
    assert [label.get_text() for label in hottest.get_xticklabels()] == ["01 Jun 2026", "02 Jun 2026"]


@pytest.mark.parametrize("is_well", [True, False])
def test_the_cards_hold_the_figures_in_their_units(tmp_path: Path, is_well: bool) -> None:
    path, identity = tmp_path / "usage.sqlite", ModelIdentity("<b>m", "1", "")
    now = datetime.now().astimezone().replace(minute=0, second=0, microsecond=0)
    with UsageStore(path, identity) as store:
        for hours in (6, 5):
            faces = defaultdict(float, happy=1080.0, sad=360.0)
            period = Period(frames=1000, people=4, face_s=faces)
            if not is_well:
                period.camera_losses, period.camera_lost_s = 2, 90.0
            store.append(int(now.timestamp()) - hours * HOUR, period)
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 4)
    for sample, answer in zip(samples, ("happy", "happy", "happy", "sad"), strict=True):
        folder.set_label(sample, answer)
    drift = DriftReport("ok" if is_well else "drifted", (FeatureDrift("size", 0, 0, 0, 70.0, 80.0),), "<i>larger")
    expected = ExpectedAccuracy(0.8, 0.7, 0.9, is_well, "of <u>50 faces")
    about = ReportInput(path, now - timedelta(days=1), now, drift, expected, folder)
    text = make_report(about)
    cards = {
        name: (value, below, "bad" in kind)
        for kind, name, value, below in re.findall(
            r'<div class="card([^"]*)"><span>(.*?)</span><b>(.*?)</b><span>(.*?)</span></div>', text
        )
    }
    assert cards["people"] == ("8", "0.8 hours of faces", False)
    assert cards["seen most"] == ("happy", "75% of the time", False)
    assert cards["drift"] == (drift.state, "since the reference week", not is_well)
    trust = "" if is_well else "; not to be trusted"
    assert cards["expected accuracy"] == ("80%", f"70% to 90%{trust}", not is_well)
    assert cards["measured accuracy"][0] == "75%"
    assert cards["measured accuracy"][1].endswith(", by 4 labels")
    assert cards["camera lost"] == (("0x", "0 minutes", False) if is_well else ("4x", "3 minutes", True))
    assert cards["recorded"] == ("0 h", "2000 frames", False)
    for foreign in ("<b>m", "<i>larger", "<u>50"):
        assert foreign not in text
        assert foreign.replace("<", "&lt;").replace(">", "&gt;") in text
    hour = re.compile(r">\d\d \w{3} \d\dh<")
    assert hour.search(text)
    assert not hour.search(make_report(replace(about, since=now - timedelta(days=4)))), "by the day"


def cards_of(text: str) -> dict[str, tuple[str, str, str]]:
    """Value, text below it and further class of each card."""
    card = r'<div class="card([^"]*)"><span>(.*?)</span><b>(.*?)</b><span>(.*?)</span></div>'
    return {name: (value, below, kind.strip()) for kind, name, value, below in re.findall(card, text)}


def test_a_page_about_nothing_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    with UsageStore(path, ModelIdentity("m", "1", "")):
        pass
    about = ReportInput(path, MONDAY, MONDAY + timedelta(days=7), DriftReport("too little data", (), ""), None, None)
    text = make_report(about)
    assert text.startswith('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n')
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert f"<title>fer-edge report</title>\n<style>{report._STYLE}</style>" in text
    assert f"<h1>What {os.uname().nodename} saw</h1>" in text
    assert "Monday, 01 June 2026 to Monday, 08 June 2026; nothing was recorded</p>" in text
    assert f"fer-edge {__version__}. Counts only: this page holds no picture of anybody." in text
    assert text.endswith("</body>\n</html>\n")
    assert cards_of(text) == {
        "people": ("0", "0.0 hours of faces", ""),
        "seen most": ("nobody", "", ""),
        "drift": ("too little data", "since the reference week", ""),
        "expected accuracy": ("-", "too few faces in the last two days, or no reference", ""),
        "measured accuracy": ("-", "no sample has a label: fer-edge samples review", ""),
        "camera lost": ("0x", "0 minutes", ""),
        "recorded": ("0 h", "0 frames", ""),
    }
    assert "<h2>" not in text


def test_the_pictures_have_titles_texts_and_the_models(tmp_path: Path) -> None:
    path, now = tmp_path / "usage.sqlite", MONDAY + timedelta(days=3)
    for model, losses in (("1", 0), ("2", 1)):
        with UsageStore(path, ModelIdentity("m", model, "")) as store:
            for hours in (1, 2, 30):
                period = Period(frames=10, people=1, face_s=defaultdict(float, sad=6.0))
                period.camera_losses = losses if hours == 30 else 0
                store.append(int((MONDAY + timedelta(hours=hours)).timestamp()) + 60 * int(model), period)
    expected = ExpectedAccuracy(0.8, 0.7, 0.9, True, "faces look as usual")
    about = ReportInput(path, MONDAY, now, DriftReport("ok", (), "nothing changed"), expected, None)
    text = make_report(about)
    assert re.findall("<h2>(.*?)</h2>", text) == [
        "Who was seen",
        "When",
        "Is it still as it was?",
        "Is it right?",
        "Device",
    ]
    assert text.count("<svg") == 5
    assert re.findall('</h2>\n<p class="quiet">(.*?)</p>', text) == [
        "nothing changed",
        "Expected accuracy of the last two days: faces look as usual.",
    ]
    assert "; m@1, m@2</p>" in text
    cards = cards_of(text)
    assert cards["camera lost"] == ("1x", "0 minutes", "bad")
    assert cards["seen most"] == ("sad", "100% of the time", "")
    assert ">01 Jun 01h<" in text, "three days are drawn by the hour"
    assert ">01 Jun 01h<" not in make_report(replace(about, now=now + timedelta(seconds=1)))


def test_the_pictures_say_what_they_show(axes: list[Any]) -> None:
    report_plots.draw_labels(DAYS)
    upper, lower = axes
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("face time, minutes", "people")
    assert upper.get_position().height / lower.get_position().height == pytest.approx(3, abs=0.6)
    del axes[:]
    report_plots.draw_faults(DAYS)
    assert [one.get_ylabel() for one in axes] == ["FPS", "camera lost,\nminutes", "hottest, °C"]
    assert len({one.get_position().x0 for one in axes}) == 1, "one above the other"


def test_a_page_is_written_whole_or_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    with UsageStore(path, ModelIdentity("m", "1", "")):
        pass
    about = ReportInput(path, MONDAY, MONDAY + timedelta(days=7), DriftReport("ok", (), ""), None, None)
    out = tmp_path / "page.html"
    write_report(about, out)
    assert out.read_text() == make_report(about)
    with pytest.raises(ConfigError) as error:
        write_report(about, tmp_path / "no" / "page.html")
    assert str(error.value) == f"--html {tmp_path / 'no' / 'page.html'}: cannot be written (No such file or directory)"


def test_the_week_of_a_page_is_by_the_hour_also_where_all_else_is_by_the_day(tmp_path: Path, axes: list[Any]) -> None:
    path = tmp_path / "usage.sqlite"
    with UsageStore(path, ModelIdentity("m", "1", "")) as store:
        for hours in (7, 31, 31 + 7 * 24):
            period = Period(frames=10, people=1, face_s=defaultdict(float, sad=30.0))
            store.append(int((MONDAY + timedelta(hours=hours)).timestamp()), period)
    make_report(ReportInput(path, MONDAY, MONDAY + timedelta(days=20), DriftReport("ok", (), ""), None, None))
    (table,) = [one.images[0].get_array() for one in axes if one.images and one.get_xlabel() == "hour"]
    assert (table.sum(), table[0, 7], table[1, 7]) == (1.5, 0.5, 1.0)
    assert [len(one.patches) for one in axes if one.get_ylabel() == "people"] == [3], "three days"


def test_legends_have_no_frame_that_hides_what_is_drawn(axes: list[Any]) -> None:
    report_plots.draw_labels(DAYS)
    report_plots.draw_accuracy(DAYS, {})
    legends = [one.get_legend() for one in axes if one.get_legend()]
    assert legends
    assert not any(legend.get_frame_on() for legend in legends)
    assert all(legend.get_texts()[0].get_fontsize() < axes[0].yaxis.label.get_fontsize() for legend in legends)


@pytest.mark.usefixtures("axes")
def test_a_camera_that_was_lost_once_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    with UsageStore(path, ModelIdentity("m", "1", "")) as store:
        store.append(int(MONDAY.timestamp()), Period(frames=10, camera_losses=1, camera_lost_s=30.1))
    about = ReportInput(path, MONDAY, MONDAY + timedelta(hours=5), DriftReport("ok", (), ""), None, None)
    assert cards_of(make_report(about))["camera lost"] == ("1x", "1 minutes", "bad")
