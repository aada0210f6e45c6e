"""The built-in demo: where its face is, what it shows, and how it keeps time."""

from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.clock import Clock

from fer_edge.assets import composites
from fer_edge.assets.composites import load_composites
from fer_edge.errors import SourceError
from fer_edge.labels import FER2013
from fer_edge.sources import demo
from fer_edge.sources.demo import DemoSource, Scene, scene_at
from fer_edge.types import FaceBox, Image


def centre(seconds: float) -> tuple[float, float]:
    box = scene_at(seconds).box
    return box.x + box.width / 2, box.y + box.height / 2


def test_the_face_grows_and_moves_about_the_middle() -> None:
    assert scene_at(0).box == FaceBox(320 - 105, 240 - 105, 210, 210)
    sides = [scene_at(11 * quarter / 4).box for quarter in (1, 2, 3, 4)]
    assert [box.width for box in sides] == pytest.approx([260, 210, 160, 210])
    assert [box.height for box in sides] == [box.width for box in sides]
    assert [centre(7 * quarter / 4)[0] for quarter in (1, 2, 3, 4)] == pytest.approx([450, 320, 190, 320])
    assert [centre(5 * quarter / 4)[1] for quarter in (1, 2, 3, 4)] == pytest.approx([290, 240, 190, 240])


def test_the_face_is_in_the_picture_at_any_time() -> None:
    for second in range(7 * 5 * 11):
        box = scene_at(second).box
        assert min(box.x, box.y) > 0
        assert (box.x + box.width < 640, box.y + box.height < 480) == (True, True)


def test_each_expression_lasts_three_seconds_and_fades_into_the_next() -> None:
    order = ("happy", "neutral", "surprise", "angry", "fear", "sad", "disgust", "happy", "neutral")
    for turn, (label, next_label) in enumerate(pairwise(order)):
        for within in (0, 1.5, 2.99):
            scene = scene_at(3 * turn + within)
            assert (scene.label, scene.next_label) == (label, next_label)
    blends = [scene_at(6 + within).blend for within in (0, 1, 2.4, 2.55, 2.7, 2.85, 3)]
    assert blends == pytest.approx([0, 0, 0, 0.25, 0.5, 0.75, 0])


@pytest.fixture
def source() -> DemoSource:
    with DemoSource(paced=False) as source:
        return source


def scene(label: str, box: FaceBox, blend: float = 0) -> Scene:
    return Scene(label, "sad", blend, box)


def test_the_middle_of_the_box_holds_the_composite_of_the_label(source: DemoSource) -> None:
    for label, face in load_composites().items():
        seen = source.render(scene(label, FaceBox(200, 150, 48, 48)))[150:198, 200:248]
        assert np.array_equal(seen[12:36, 12:36], cv2.merge([face] * 3)[12:36, 12:36])


def test_a_larger_face_is_the_composite_enlarged(source: DemoSource) -> None:
    seen = source.render(scene("happy", FaceBox(101.0, 51.0, 192, 192)))
    shrunk = cv2.resize(seen[51:243, 101:293, 0], (48, 48), interpolation=cv2.INTER_AREA)
    difference = shrunk.astype(float) - load_composites()["happy"]
    assert np.abs(difference[14:34, 14:34]).mean() < 4


def test_a_fade_is_a_mean_of_both_faces(source: DemoSource) -> None:
    box = FaceBox(200, 150, 48, 48)
    happy, sad, mixed = (source.render(scene("happy", box, blend)).astype(float) for blend in (0, 1, 0.25))
    assert np.array_equal(sad, source.render(scene("sad", box)))
    assert np.abs(mixed - (0.75 * happy + 0.25 * sad)).max() <= 1


def outside(picture: Image, box: FaceBox) -> Image:
    rest = picture.copy()
    left, top, right, bottom = (round(part) for part in (box.x, box.y, box.x + box.width, box.y + box.height))
    rest[max(top - 3, 0) : bottom + 3, max(left - 3, 0) : right + 3] = 0  # enlarging it also blurs its edge
    return rest


def test_there_is_nothing_of_the_face_outside_its_box_nor_in_its_corners(source: DemoSource) -> None:
    there, elsewhere = FaceBox(50, 100, 144, 144), FaceBox(400, 300, 144, 144)
    first, second = source.render(scene("happy", there)), source.render(scene("happy", elsewhere))
    assert np.array_equal(outside(outside(first, there), elsewhere), outside(outside(second, there), elsewhere))
    for row, column in ((0, 0), (0, 133), (133, 0), (133, 133)):
        place = slice(100 + row, 111 + row), slice(50 + column, 61 + column)
        assert np.array_equal(first[place], second[place]), "a corner shows the background"
    assert not np.array_equal(first[164:180, 114:130], second[164:180, 114:130])


def test_the_edge_of_the_face_is_soft(source: DemoSource) -> None:
    """From the background to the face within a tenth of its side."""
    there, elsewhere = FaceBox(200, 100, 240, 240), FaceBox(0, 0, 48, 48)
    face, background = source.render(scene("happy", there)), source.render(scene("happy", elsewhere))
    difference = np.abs(face.astype(float) - background)[:, :, 0]
    assert difference[220, 200:203].max() < difference[220, 216:232].mean()
    steps = np.abs(np.diff(face[210:230, 195:245, 0].astype(float).mean(axis=0)))
    assert steps.max() < 14


@pytest.mark.parametrize("box", [FaceBox(-40, -30, 150, 150), FaceBox(560, 400, 150, 150)])
def test_a_face_may_leave_the_picture(source: DemoSource, box: FaceBox) -> None:
    picture = source.render(scene("happy", box))
    assert picture.shape == (480, 640, 3)
    middle = FaceBox(250, 200, 150, 150)
    whole = source.render(scene("happy", middle))
    row, column = (80, 80) if box.x < 0 else (40, 40)
    there = picture[int(box.y) + row : int(box.y) + row + 20, int(box.x) + column : int(box.x) + column + 20]
    assert np.array_equal(there, whole[200 + row : 220 + row, 250 + column : 270 + column])


def test_the_background_is_grey_smooth_and_always_the_same(source: DemoSource) -> None:
    picture = source.render(scene_at(0))
    assert (picture == picture[:, :, :1]).all()
    assert np.array_equal(picture, next(iter(source)).image)
    background = source.render(scene("happy", FaceBox(0, 0, 48, 48)))[60:, 60:, 0].astype(float)
    assert background.mean() == pytest.approx(112.25, abs=0.05)
    assert background.std() == pytest.approx(20.5, abs=0.05)
    assert np.abs(np.diff(background, axis=1)).mean() < 3
    assert background[-1, -1] == 150


def test_without_a_pace_every_frame_comes_in_media_time() -> None:
    with DemoSource(paced=False) as source:
        frames = list(islice(source, 4))
        assert [frame.index for frame in frames] == [0, 1, 2, 3]
        assert [frame.captured_at for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])
        assert not any(frame.live or frame.still for frame in frames)
        assert np.array_equal(frames[3].image, source.render(scene_at(3 / 30)))
    assert (source.live, source.stills, source.skipped, source.frames, source.fps) == (False, False, 0, None, 30)


def test_in_real_time_frames_are_waited_for_and_late_ones_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(demo, "time", clock)
    with DemoSource() as source:
        assert source.live
        seen = []
        for frame in source:
            seen.append((frame.index, round(30 * (frame.captured_at - 100), 6), round(30 * (clock.now - 100), 6)))
            assert frame.live
            if len(seen) == 3:
                clock.now += 5.5 / 30
            if len(seen) == 6:
                source.stop()
    assert seen == [(0, 0, 0), (1, 1, 1), (2, 2, 2), (7, 7, 7.5), (8, 8, 8), (9, 9, 9)]


def test_the_composites_are_seven_different_faces() -> None:
    faces = load_composites()
    assert tuple(faces) == FER2013
    assert {face.shape for face in faces.values()} == {(48, 48)}
    assert {face.dtype for face in faces.values()} == {np.dtype(np.uint8)}
    assert len({face.tobytes() for face in faces.values()}) == 7


@pytest.mark.parametrize("content", ["missing", "no picture", "of another size"])
def test_composites_that_are_missing_or_damaged_are_named(
    content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    atlas = tmp_path / "composites.png"
    if content == "no picture":
        atlas.write_bytes(b"no picture")
    if content == "of another size":
        cv2.imwrite(str(atlas), np.zeros((48, 48), np.uint8))
    monkeypatch.setattr(composites, "ATLAS", atlas)
    with pytest.raises(SourceError) as caught:
        load_composites()
    assert str(caught.value) == f"{atlas}: is missing or damaged. Install the package again"


def test_the_face_fades_out_evenly_on_all_sides_within_an_oval(monkeypatch: pytest.MonkeyPatch) -> None:
    """White and black faces differ by their share in each pixel."""
    levels = {"happy": np.full((48, 48), 255, np.uint8), "sad": np.zeros((48, 48), np.uint8)}
    monkeypatch.setattr(demo, "load_composites", lambda: levels)
    with DemoSource(paced=False) as source:
        white, black = (source.render(scene(label, FaceBox(200, 150, 48, 48))).astype(int) for label in levels)
    difference = (white - black)[:, :, 0]
    share = difference[150:198, 200:248] / 255
    assert difference.sum() == pytest.approx(255 * share.sum()), "it is in the box alone"
    assert np.abs(share - share[:, ::-1]).max() < 0.01
    assert np.abs(share - share[::-1]).max() < 0.01
    assert share.max() == 1
    assert share.min() == 0
    assert share[24, :6] == pytest.approx([0.004, 0.29, 0.57, 0.85, 1, 1], abs=0.01), "to the left"
    assert share[:6, 24] == pytest.approx([0.137, 0.415, 0.69, 0.97, 1, 1], abs=0.01), "above it is wider"
    assert (share == 1).mean() == pytest.approx(0.556, abs=0.01)
