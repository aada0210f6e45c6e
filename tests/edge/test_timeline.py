"""What a timeline draws of whom, and an annotated copy: from frames that are made here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.edge.test_overlay import likeness
from tests.edge.test_overlay import result as annotated

from fer_edge.errors import ConfigError
from fer_edge.sinks.pictures import AnnotatedPictures
from fer_edge.sinks.timeline import Timeline
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace

LABELS = ("joy", "rest")
JOY, REST = (
    Prediction(np.array(shares, np.float32), label, 0.75)
    for label, shares in zip(LABELS, ((0.75, 0.25), (0.25, 0.75)), strict=True)
)


def face(identity: int, smoothed: Prediction, *, visible: bool = True) -> TrackedFace:
    """Its raw prediction is the other one."""
    track = Track(identity, FaceBox(0, 0, 9, 9), 1, 0, visible=visible)
    return TrackedFace(track, REST if smoothed is JOY else JOY, smoothed)


def kept_figures(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that it will have drawn."""
    figures: list[Any] = []
    new_figure = timeline._new_figure

    def keep(**options: Any) -> Any:
        figures.append(new_figure(**options))
        return figures[-1]

    monkeypatch.setattr(timeline, "_new_figure", keep)
    return figures


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The axes of ten seconds: face 8 is there for all of them, those before it for one second less each."""
    with Timeline(tmp_path / "a.svg") as timeline:
        figures = kept_figures(timeline, monkeypatch)
        for second in range(11):
            faces = [face(number, JOY if second < 4 else REST) for number in range(1, 9) if second <= number + 2]
            frame = Frame(np.zeros((4, 4, 3), np.uint8), float(second), second)
            timeline.emit(FrameResult(frame, (*faces, face(99, JOY, visible=False)), {}, labels=LABELS))
    (figure,) = figures
    assert (tmp_path / "a.svg").is_file()
    return list(figure.axes)


def test_the_six_faces_seen_longest_have_a_row_each(rows: list[Any]) -> None:
    assert [row.get_ylabel() for row in rows] == [f"face #{number}" for number in range(3, 9)]
    assert {row.get_xlim() for row in rows} == {(0, 10)}
    assert [text.get_text() for text in rows[0].figure.legends[0].get_texts()] == [*LABELS]


def test_the_last_row_has_the_seconds_and_all_have_the_same_height(rows: list[Any]) -> None:
    assert [row.get_xlabel() for row in rows] == [*[""] * 5, "seconds"]
    assert [row.get_ylim() for row in rows] == [(0, pytest.approx(1.11))] * 6
    assert {tuple(row.get_yticks()) for row in rows} == {(0, 0.5, 1)}
    figure = rows[0].figure
    assert tuple(figure.get_size_inches()) == (10, pytest.approx(1.2 + 6 * 1.6))
    assert figure.get_layout_engine() is not None, "nothing is cut off"
    (legend,) = figure.legends
    assert not legend.get_frame_on()
    assert legend._ncols == len(LABELS)


def test_a_long_video_is_drawn_with_evenly_spread_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Timeline(tmp_path / "a.png") as timeline:
        figures = kept_figures(timeline, monkeypatch)
        for index in range(9000):
            frame = Frame(np.zeros((4, 4, 3), np.uint8), float(index), index)
            timeline.emit(FrameResult(frame, (face(1, JOY),), {}, labels=("happy", "sad")))
    (row,) = figures[0].axes
    happy, sad, *_ = row.collections
    times = np.unique(happy.get_paths()[0].vertices[:, 0])
    assert 1000 <= len(times) <= 2001
    assert {*np.diff(times)} == {8}
    assert happy.get_facecolor()[0][:3] == pytest.approx([240 / 255, 228 / 255, 66 / 255])
    assert sad.get_facecolor()[0][:3] == pytest.approx([0, 114 / 255, 178 / 255])
    image = cv2.imread(str(tmp_path / "a.png"))
    assert image is not None
    assert image.shape[:2] == (336, 1200)


def test_a_plot_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    def draw(path: Path) -> str:
        with pytest.raises(ConfigError) as raised, Timeline(path) as timeline:
            timeline.emit(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), (face(1, JOY),), {}, labels=LABELS))
        return str(raised.value)

    (tmp_path / "full.png" / "a").mkdir(parents=True)
    assert draw(tmp_path / "a.gif") == f"'{tmp_path}/a.gif': a plot is written as .pdf, .png, .svg"
    missing = "cannot be written (No such file or directory)"
    assert draw(tmp_path / "no" / "a.png") == f"'{tmp_path}/no/a.png': {missing}"
    assert draw(tmp_path / "full.png") == f"'{tmp_path}/full.png': cannot be written (Is a directory)"
    assert [path.name for path in tmp_path.iterdir()] == ["full.png"]


def test_a_row_has_the_smoothed_probabilities_and_above_them_the_label_shown(rows: list[Any]) -> None:
    joy, rest, joy_bar, rest_bar = rows[-1].collections
    heights = {float(x): float(y) for path in joy.get_paths() for x, y in path.vertices if y > 0}
    assert {second: heights[float(second)] for second in range(11)} == pytest.approx(
        {second: 0.75 if second < 4 else 0.25 for second in range(11)}
    )
    assert rest.get_paths()[0].vertices[:, 1].max() == pytest.approx(1)
    for bar, begin, end in ((joy_bar, 0, 4), (rest_bar, 4, 10)):
        corners = np.concatenate([path.vertices for path in bar.get_paths()])
        assert (corners[:, 0].min(), corners[:, 0].max()) == (begin, end)
        assert corners[:, 1].min() > 1


@pytest.mark.parametrize("score", [False, True])
def test_a_copy_shows_the_score_where_that_is_asked_for(tmp_path: Path, score: bool) -> None:
    shown = annotated(FaceBox(200, 150, 150, 150, 0.9))
    shown = replace(shown, frame=replace(shown.frame, name="a.png"))
    with AnnotatedPictures(tmp_path, score=score) as copies:
        copies.emit(shown)
    (copy,) = tmp_path.iterdir()
    image = cv2.imread(str(copy))
    assert image is not None
    assert (likeness(np.asarray(image, np.uint8), "face 0.90", 16) > 0.7) == score
