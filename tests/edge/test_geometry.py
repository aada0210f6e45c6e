import pytest

from fer_edge.geometry import best_at, clip, distinct, expand, iou, overlap, square
from fer_edge.types import FaceBox


def test_iou_of_known_boxes() -> None:
    box = FaceBox(0, 0, 10, 10)
    assert iou(box, box) == 1
    assert iou(box, FaceBox(5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert iou(box, FaceBox(10, 10, 5, 5)) == 0


def test_a_box_within_another_overlaps_it_wholly() -> None:
    assert overlap(FaceBox(0, 0, 100, 100), FaceBox(10, 10, 20, 20)) == 1


def test_a_box_outside_the_frame_keeps_no_area() -> None:
    assert clip(FaceBox(-30, 5, 20, 20), 100, 100).width == 0
    inside = clip(FaceBox(90, -5, 20, 20), 100, 100)
    assert (inside.x, inside.y, inside.width, inside.height) == (90, 0, 10, 15)


def test_the_best_box_at_a_place_is_the_one_of_the_highest_score_there() -> None:
    place = FaceBox(0, 0, 10, 10)
    there, better, elsewhere = FaceBox(0, 0, 10, 9, 0.5), FaceBox(3, 0, 10, 10, 0.6), FaceBox(6, 0, 10, 10, 0.9)
    assert best_at(place, [there, better, elsewhere]) == better
    assert best_at(place, [elsewhere]) is None


def test_square_and_expand_keep_the_centre() -> None:
    box = expand(square(FaceBox(10, 20, 30, 50)), 2)
    assert (box.width, box.height) == (100, 100)
    assert (box.x + 50, box.y + 50) == (25, 45)


def test_a_mouth_does_not_replace_the_face_around_it() -> None:
    face, mouth = FaceBox(100, 100, 120, 120, 0.6), FaceBox(130, 160, 60, 60, 0.7)
    assert distinct([face, mouth], 0.5) == distinct([mouth, face], 0.5) == [face]


def test_a_sure_small_face_replaces_a_doubtful_box_around_it() -> None:
    around, face = FaceBox(100, 100, 120, 120, 0.3), FaceBox(130, 160, 60, 60, 0.9)
    assert distinct([around, face], 0.5) == [face]


def test_of_two_boxes_of_one_size_the_better_stays() -> None:
    one, other = FaceBox(100, 100, 100, 100, 0.6), FaceBox(105, 102, 98, 98, 0.7)
    far = FaceBox(400, 100, 50, 50, 0.2)
    assert distinct([one, other, far], 0.5) == [other, far]
