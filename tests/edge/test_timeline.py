"""What a timeline draws of whom, and an annotated copy: from frames that are made here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.edge.test_overlay import likeness
from tests.edge.test_overlay import result as annotated

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


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The axes of ten seconds: face 8 is there for all of them, those before it for one second less each."""
    figures: list[Any] = []
    with Timeline(tmp_path / "a.svg") as timeline:
        new_figure = timeline._new_figure

        def keep(**options: Any) -> Any:
            figures.append(new_figure(**options))
            return figures[-1]

        monkeypatch.setattr(timeline, "_new_figure", keep)
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
