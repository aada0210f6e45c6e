"""The usage record as a table and as a picture: each number at its place, in its unit."""

import csv
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import matplotlib.figure
import pytest

from fer_edge.errors import ConfigError
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.stats import Group, as_csv, group_rows, ordered_labels
from fer_edge.monitoring.stats_plot import draw_stats
from fer_edge.monitoring.store import ModelIdentity, Row
from fer_edge.sinks.overlay import COLOURS

WEDNESDAY = datetime(2026, 6, 3, 14, 37, 12).astimezone()


def group(start: datetime, seconds: int = 3600, **counts: Any) -> Group:
    return Group(start, seconds, ("m@1", "m@2"), Period(**counts))


FIRST = group(
    WEDNESDAY,
    frames=36_000,
    dropped=12,
    people=3,
    face_s=defaultdict(float, sad=300.0, happy=600.04, joy=6.0, uncertain=1.0),
    visits=Counter(happy=2, joy=1),
    hottest=61.5,
    camera_losses=2,
    camera_lost_s=12.34,
    clock_step_s=-0.16,
    histograms={name: Counter({FEATURES[name].bin_of(120.0): 4} if name == "brightness" else {}) for name in FEATURES},
)
SECOND = group(WEDNESDAY + timedelta(hours=1), 1800, frames=9000, face_s=defaultdict(float, happy=60.0))


def test_a_table_has_a_row_per_group_with_its_counts_in_their_columns() -> None:
    text = as_csv([FIRST, SECOND])
    assert "\r" not in text
    first, second = csv.DictReader(text.splitlines())
    assert list(first)[:10] == [
        "start",
        "recorded_s",
        "model",
        "frames",
        "dropped",
        "people",
        "hottest_celsius",
        "camera_losses",
        "camera_lost_s",
        "clock_step_s",
    ]
    assert list(first)[10:18] == [
        *(f"face_s_{label}" for label in ("happy", "sad", "uncertain", "joy")),
        *(f"visits_{label}" for label in ("happy", "sad", "uncertain", "joy")),
    ]
    assert list(first)[18:] == [f"mean_{name}" for name in FEATURES]
    assert list(first.values())[:18] == [
        WEDNESDAY.isoformat(),
        "3600",
        "m@1, m@2",
        *("36000", "12", "3", "61.5", "2", "12.3", "-0.2"),
        *("600.0", "300.0", "1.0", "6.0"),
        *("2", "0", "0", "1"),
    ]
    assert float(first["mean_brightness"]) == pytest.approx(120, abs=8)
    assert (first["mean_contrast"], second["hottest_celsius"]) == ("", "")
    assert (second["face_s_happy"], second["face_s_sad"], second["visits_happy"]) == ("60.0", "0", "0")


def test_labels_come_in_the_usual_order_and_unknown_ones_after_them() -> None:
    assert ordered_labels([FIRST, SECOND]) == ["happy", "sad", "uncertain", "joy"]
    assert ordered_labels([]) == []


def row(start: datetime, model: str = "1", **counts: Any) -> Row:
    return Row(int(start.timestamp()), 60, ModelIdentity("m", model, ""), Period(**counts))


def test_periods_are_added_by_the_hour_the_day_and_the_week() -> None:
    times = [
        (WEDNESDAY, "1"),
        (WEDNESDAY.replace(minute=59, second=59), "2"),
        (WEDNESDAY.replace(hour=15, minute=0, second=0), "1"),
        (WEDNESDAY - timedelta(days=2), "1"),
        (WEDNESDAY - timedelta(days=3), "1"),
    ]
    rows = [row(time, model, people=1) for time, model in times]

    def counts(span: Any) -> list[tuple[str, int, int, tuple[str, ...]]]:
        return [
            (one.start.strftime("%d %H:%M:%S"), one.seconds, one.period.people, one.models)
            for one in group_rows(rows, span)
        ]

    assert counts("hour")[2:] == [("03 14:00:00", 120, 2, ("m@1", "m@2")), ("03 15:00:00", 60, 1, ("m@1",))]
    assert counts("day")[1:] == [("01 00:00:00", 60, 1, ("m@1",)), ("03 00:00:00", 180, 3, ("m@1", "m@2"))]
    assert counts("week") == [("25 00:00:00", 60, 1, ("m@1",)), ("01 00:00:00", 240, 4, ("m@1", "m@2"))]
    assert all(one.start.microsecond == 0 and one.start.tzinfo for one in group_rows(rows, "week"))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    """The figures that are made."""
    made: list[matplotlib.figure.Figure] = []

    class Kept(matplotlib.figure.Figure):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(matplotlib.figure, "Figure", Kept)
    return made


def test_bars_are_minutes_per_label_and_frames_per_second(
    figures: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    draw_stats([FIRST, SECOND], tmp_path / "plot.png")
    image = cv2.imread(str(tmp_path / "plot.png"))
    assert image is not None
    assert image.shape == (500, 900, 3)
    (figure,) = figures
    upper, lower = figure.axes
    bottoms = [bar.get_y() for bar in upper.patches]  # type: ignore[attr-defined]
    heights = [bar.get_height() for bar in upper.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([10.0007, 1, 5, 0, 0.0167, 0, 0.1, 0], abs=0.0001), "of both hours, label by label"
    assert bottoms == pytest.approx([0, 0, 10.0007, 1, 15.0007, 1, 15.0173, 1], abs=0.0001), "each above the one before"
    colours = [upper.patches[index].get_facecolor()[:3] for index in (0, 6)]
    blue, green, red = COLOURS["happy"]
    assert colours == [pytest.approx((red / 255, green / 255, blue / 255)), pytest.approx((150 / 255,) * 3)]
    assert [bar.get_height() for bar in lower.patches] == [10, 5]  # type: ignore[attr-defined]
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("face time, minutes", "frames per second")
    legend = upper.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["happy", "sad", "uncertain", "joy"]
    names = [label.get_text() for label in lower.get_xticklabels()]
    assert names == ["03 Jun 14:37", "03 Jun 15:37"]
    assert lower.get_xticklabels()[0].get_rotation() == 60
    assert upper.get_position().height > 2 * lower.get_position().height
    assert not any(label.get_visible() for label in upper.get_xticklabels()), "the names are below both"
    texts = [*lower.get_xticklabels(), upper.yaxis.label]
    assert all(figure.bbox.contains(*text.get_window_extent().min) for text in texts), "all is inside"


def test_nothing_to_draw_and_a_place_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    for groups, name, message in (
        ([], "a.png", "--plot: nothing was recorded in this time"),
        ([FIRST], "no/a.png", f"--plot {tmp_path / 'no' / 'a.png'}: cannot be written (No such file or directory)"),
        ([FIRST], "a.xyz", f"--plot {tmp_path / 'a.xyz'}: cannot be written (Format 'xyz' is not supported"),
    ):
        with pytest.raises(ConfigError) as error:
            draw_stats(groups, tmp_path / name)
        assert str(error.value).startswith(message)


def test_all_labels_fit_into_a_legend_of_small_letters(figures: list[matplotlib.figure.Figure], tmp_path: Path) -> None:
    """Five beside each other, and the others below them."""
    everybody = group(WEDNESDAY, face_s=defaultdict(float, dict.fromkeys(COLOURS, 60.0)))
    draw_stats([everybody], tmp_path / "plot.png")
    upper, lower = figures[0].axes
    legend, place = upper.get_legend(), upper.get_window_extent()
    assert legend is not None
    names = legend.get_texts()
    assert len(names) == len(COLOURS) > 5
    assert len({round(name.get_window_extent().x0) for name in names}) == 5
    assert place.x0 <= legend.get_window_extent().x0 < legend.get_window_extent().x1 <= place.x1
    assert float(names[0].get_fontsize()) < float(upper.yaxis.label.get_fontsize())
    assert {bar.get_facecolor()[:3] for bar in lower.patches} == {(0.6, 0.6, 0.6)}, "grey, which no label is"
