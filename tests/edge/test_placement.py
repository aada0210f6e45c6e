"""Where labels and bars go: beside the face, inside the picture, and not over each other."""

import pytest

from fer_edge.sinks.placement import Area, bars_places, clearest, label_places

PICTURE = Area(0, 0, 640, 480)


def corners(places: list[Area], width: int, height: int) -> list[tuple[int, int]]:
    """The upper left corners of areas, which all have this size."""
    assert {(place.right - place.left, place.bottom - place.top) for place in places} == {(width, height)}
    return [(place.left, place.top) for place in places]


def test_a_label_is_above_below_beside_or_in_the_face() -> None:
    places = [*label_places(Area(200, 150, 300, 260), 90, 30, PICTURE)]
    assert corners(places, 90, 30) == [(200, 120), (200, 260), (300, 150), (110, 150), (200, 230)]


def test_bars_are_beside_below_or_above_the_face_and_its_label() -> None:
    face, label = Area(200, 150, 300, 260), Area(200, 120, 290, 150)
    assert corners([*bars_places(face, label, 80, 100, 6, PICTURE)], 80, 100) == [
        (306, 150),
        (114, 150),
        (200, 266),
        (200, 14),
    ]
    label = Area(200, 260, 290, 290)
    assert corners([*bars_places(face, label, 80, 100, 6, PICTURE)], 80, 100)[2:] == [(200, 296), (200, 44)]


@pytest.mark.parametrize(
    ("face", "first", "second"),
    [
        (Area(600, 10, 640, 60), (550, 0), (550, 60)),
        (Area(-20, 440, 40, 500), (0, 410), (0, 450)),
        (Area(550, 30, 600, 450), (550, 0), (550, 450)),
    ],
)
def test_what_would_leave_the_picture_is_moved_into_it(
    face: Area, first: tuple[int, int], second: tuple[int, int]
) -> None:
    assert corners([*label_places(face, 90, 30, PICTURE)], 90, 30)[:2] == [first, second]


def test_what_is_larger_than_the_picture_begins_at_its_corner() -> None:
    places = [*label_places(Area(200, 150, 300, 260), 700, 500, PICTURE)]
    assert {*corners(places, 700, 500)} == {(0, 0)}


def test_the_place_that_covers_least_is_taken_and_of_equal_ones_the_first() -> None:
    places = [Area(0, 0, 10, 10), Area(20, 0, 30, 10), Area(40, 0, 50, 10)]
    assert clearest(places, []) == (places[0], 0)
    assert clearest(places, [Area(5, 5, 25, 9)]) == (places[2], 0)
    assert clearest(places, [Area(5, 5, 60, 9), Area(0, 0, 12, 1)]) == (places[0], 30)
    assert clearest(places, [Area(10, 0, 20, 10), Area(0, 10, 50, 20)]) == (places[0], 0), "neighbours share nothing"
