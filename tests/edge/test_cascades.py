"""OpenCV's cascades: which sizes are searched, and what the hits say."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.detectors import cascades
from fer_edge.detectors.cascades import Cascade, even_light, find_cascade, hits_of, score_of
from fer_edge.detectors.region_view import RegionView
from fer_edge.errors import ConfigError, MissingDependency
from fer_edge.types import FaceBox, Image


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade(find_cascade("haarcascade_frontalface_alt2.xml"))


def room(side: int) -> Image:
    """A grey room with a face of that side."""
    picture = np.full((240, 320), 128, np.uint8)
    picture[20 : 20 + side, 30 : 30 + side] = cv2.resize(load_composites()["neutral"], (side, side))
    return picture


def test_a_configured_cascade_is_the_only_one(tmp_path: Path) -> None:
    name, own = "haarcascade_frontalface_alt2.xml", tmp_path / "own.xml"
    with pytest.raises(ConfigError, match=r"detector.cascade: .*own.xml: no such file"):
        find_cascade(name, own)
    own.write_text("no cascade")
    assert find_cascade(name, own) == own
    with pytest.raises(ConfigError, match=r"own.xml: is not a Haar cascade"):
        Cascade(own)


@pytest.mark.parametrize("hits", [0, 1, 5, 45])
def test_hits_and_scores_are_two_names_of_one_thing(hits: int) -> None:
    assert hits_of(score_of(hits)) == pytest.approx(hits)
    assert score_of(5) == 0.5


@pytest.mark.parametrize("neighbours", [0, 2])
def test_only_faces_between_the_two_sides_are_found(cascade: Cascade, neighbours: int) -> None:
    picture = room(100)
    (box, *others) = cascade.find(picture, (60.0, 160.0), 1.1, neighbours)
    assert not others
    assert (box.x + box.width / 2, box.y + box.height / 2) == pytest.approx((80, 70), abs=8)
    assert 60 <= box.width <= 130
    opencv = cv2.CascadeClassifier(str(find_cascade("haarcascade_frontalface_alt2.xml")))
    hits = opencv.detectMultiScale(picture, 1.1, 0, minSize=(60, 60), maxSize=(160, 160))
    assert hits_of(box.score) == pytest.approx(len(hits)), "each counts once"
    assert cascade.find(picture, (20.0, 50.0), 1.1, neighbours) == []
    assert cascade.find(picture, (180.0, 220.0), 1.1, neighbours) == []
    assert cascade.find(picture[:50], (60.0, 160.0), 1.1, neighbours) == [], "larger than the picture"


def test_a_face_in_the_dark_keeps_its_contrast() -> None:
    """Levels of the same ratio are as far apart, dark or light, and the order stays."""
    levels = even_light(np.arange(256, dtype=np.uint8)[None])[0].astype(int)
    assert levels[0] == 0
    assert levels[255] == 224
    assert (np.diff(levels) >= 0).all()
    assert levels[40] - levels[20] == pytest.approx(levels[160] - levels[80], abs=8)
    assert levels[40] - levels[20] > 30


def test_debians_cascades_serve_where_opencv_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    monkeypatch.setattr("cv2.data.haarcascades", f"{own}/")
    monkeypatch.setattr(cascades, "_DEBIAN", tmp_path)
    (tmp_path / "face.xml").touch()
    assert find_cascade("face.xml") == tmp_path / "face.xml"
    own.mkdir()
    (own / "face.xml").touch()
    assert find_cascade("face.xml") == own / "face.xml"
    with pytest.raises(MissingDependency, match=r"eye.xml is not installed. Fix: sudo apt install opencv-data"):
        find_cascade("eye.xml")


MARK = FaceBox(300, 180, 20, 30, 0.7)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("roll", [0.0, 25.0, -25.0])
@pytest.mark.parametrize(
    "expected", [FaceBox(250, 150, 100, 100), FaceBox(270, 130, 80, 80), FaceBox(290, 140, 61, 61)]
)
def test_what_is_found_in_a_view_has_its_place_in_the_frame(expected: FaceBox, roll: float, mirrored: bool) -> None:
    """A white mark is searched for in the view, which is scaled, rotated and mirrored, and cut at the frame's edge."""
    image = np.full((240, 330, 3), 60, np.uint8)
    image[180:210, 300:320] = 255
    view = RegionView(image, expected, 1.6, 48.0, roll, mirrored=mirrored)
    rows, columns = np.nonzero(view.picture > 200)
    found = FaceBox(columns.mean() - 5, rows.mean() - 8, 11, 17, 0.7)
    placed = view.placed(found)
    scale = expected.width / 48
    assert (placed.x + placed.width / 2, placed.y + placed.height / 2) == pytest.approx((310, 195), abs=1.5 * scale)
    assert (placed.width, placed.height) == pytest.approx((11 * scale, 17 * scale), rel=0.05)
    assert (placed.score, placed.roll) == (0.7, roll)


def test_a_view_turns_a_tilted_head_upright_and_mirrors_it() -> None:
    """A line that falls to the right is level after a rotation by its angle; above its right half is a dot."""
    image = np.zeros((200, 200, 3), np.uint8)
    cv2.line(image, (60, 85), (140, 115), (255, 255, 255), 3)
    cv2.circle(image, (132, 92), 4, (255, 255, 255), -1)
    roll = float(np.degrees(np.arctan2(30, 80)))
    for mirrored in (False, True):
        picture = RegionView(image, FaceBox(50, 50, 100, 100), 1.4, 96.0, roll, mirrored=mirrored).picture
        assert picture.shape == (134, 134)
        bright = picture > 150
        line = np.flatnonzero(bright.sum(axis=1) > 50)
        assert 1 <= len(line) <= 6, "it is level"
        above = np.flatnonzero(bright[: line[0] - 3].any(axis=0))
        assert (above.mean() > 67) != mirrored


def test_what_a_rotated_view_lacks_at_the_frames_edge_is_like_the_edge() -> None:
    """A black corner would be an edge of its own."""
    view = RegionView(np.full((100, 100, 3), 90, np.uint8), FaceBox(60, 60, 40, 40), 1.6, 48.0, 25.0)
    assert view.picture.min() == view.picture.max() > 0


def test_a_view_that_is_mostly_outside_the_frame_is_empty() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    assert RegionView(image, FaceBox(90, 10, 60, 60), 1.0, 48.0).picture.size == 0
    assert RegionView(image, FaceBox(60, 10, 60, 60), 1.0, 48.0).picture.shape == (48, 32)
