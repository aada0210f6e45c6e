"""OpenCV's cascades: which sizes are searched, and what the hits say."""

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.detectors.cascades import Cascade, even_light, find_cascade, hits_of, score_of
from fer_edge.types import Image


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade(find_cascade("haarcascade_frontalface_alt2.xml"))


def room(side: int) -> Image:
    """A grey room with a face of that side."""
    picture = np.full((240, 320), 128, np.uint8)
    picture[20 : 20 + side, 30 : 30 + side] = cv2.resize(load_composites()["neutral"], (side, side))
    return picture


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
    assert box.score == pytest.approx(score_of(hits_of(box.score)))
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
