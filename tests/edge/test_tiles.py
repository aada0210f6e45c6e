"""Tiles of a frame: which boxes are whole in one."""

import pytest

from fer_edge.detectors.tiles import tiles, whole_in
from fer_edge.types import FaceBox

WIDTH, HEIGHT = 400, 300
INNER, CORNER = FaceBox(100, 50, 200, 200), FaceBox(200, 100, 200, 200)


@pytest.mark.parametrize(
    ("tile", "box", "is_whole"),
    [
        (INNER, FaceBox(110, 60, 80, 90), True),
        (INNER, FaceBox(99, 60, 80, 80), False),
        (INNER, FaceBox(110, 49, 80, 80), False),
        (INNER, FaceBox(230, 60, 80, 80), False),
        (INNER, FaceBox(110, 180, 80, 80), False),
        (INNER, FaceBox(110, 60, 20, 101), False),  # larger than half of the tile
        (INNER, FaceBox(110, 60, 101, 20), False),
        (CORNER, FaceBox(330, 110, 80, 80), True),  # cut by the frame, not by the tile
        (CORNER, FaceBox(210, 230, 80, 80), True),
        (CORNER, FaceBox(210, 90, 80, 80), False),
        (FaceBox(0, 0, 200, 200), FaceBox(-5, -5, 80, 80), True),
        (FaceBox(0, 0, 200, 200), FaceBox(130, 10, 80, 80), False),
    ],
)
def test_a_small_box_that_no_inner_edge_cuts_is_whole(tile: FaceBox, box: FaceBox, is_whole: bool) -> None:
    assert whole_in(tile, [box], WIDTH, HEIGHT) == ([box] if is_whole else [])


def test_tiles_cover_the_frame_and_share_as_much_as_is_asked_for() -> None:
    found = tiles(WIDTH, HEIGHT, 200, 60)
    assert {(tile.width, tile.height) for tile in found} == {(200, 200)}
    assert sorted({tile.x for tile in found}) == [0, 100, 200]
    assert sorted({tile.y for tile in found}) == [0, 100]
    assert [tile.height for tile in tiles(400, 150, 200, 60)] == [150] * 3
