"""A face found again by how it looked."""

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.tracking.template import Template
from fer_edge.types import FaceBox, Image


def picture(x: float, y: float, side: int = 120, label: str = "happy") -> Image:
    """A textured room with a face at a place that need not be whole pixels."""
    room = cv2.resize(np.random.default_rng(0).normal(110, 20, (12, 16)).astype(np.float32), (640, 480))
    face = load_composites()[label].astype(np.float32)
    scale = side / face.shape[0]
    placed = np.array([[scale, 0, x], [0, scale, y]], np.float32)
    drawn = cv2.warpAffine(face, placed, (640, 480), dst=room, borderMode=cv2.BORDER_TRANSPARENT)
    return np.asarray(cv2.merge([np.clip(drawn, 0, 255).astype(np.uint8)] * 3), np.uint8)


@pytest.mark.parametrize(("x", "y"), [(200, 150), (207.3, 146.8), (188.5, 161), (202.4, 147.7)])
def test_a_face_that_moved_is_found_to_a_pixel_of_its_120(x: float, y: float) -> None:
    found = Template(picture(200, 150), FaceBox(200, 150, 120, 120, score=0.7)).find(
        picture(x, y), FaceBox(200, 150, 120, 120)
    )
    assert found is not None
    assert (found.x, found.y) == pytest.approx((x, y), abs=1)
    assert (found.width, found.score) == (120, 0.7)


def test_what_looks_otherwise_or_is_gone_is_not_found() -> None:
    template = Template(picture(200, 150), FaceBox(200, 150, 120, 120))
    expected = FaceBox(200, 150, 120, 120)
    assert template.find(picture(600, 470), expected) is None
    assert template.find(picture(200, 150, label="surprise"), expected) is None
    assert template.find(picture(270, 150), expected) is None


@pytest.mark.parametrize("shift", range(20, 44, 2))
def test_at_the_edge_of_the_searched_region_a_face_is_found_where_it_is_or_given_up(shift: int) -> None:
    template = Template(picture(200, 150), FaceBox(200, 150, 120, 120))
    for x, y in ((200 + shift, 150), (200 - shift, 150), (200, 150 + shift), (200, 150 - shift)):
        found = template.find(picture(x, y), FaceBox(200, 150, 120, 120))
        assert found is None or (found.x, found.y) == pytest.approx((x, y), abs=3)


def test_a_face_at_the_edge_is_found_or_given_up() -> None:
    box = FaceBox(-30, 400, 120, 120)
    template = Template(picture(-30, 400), box)
    for expected in (box, FaceBox(-300, 900, 120, 120), FaceBox(600, -80, 120, 120)):
        found = template.find(picture(-30, 400), expected)
        assert found is None or (found.x, found.y) == pytest.approx((-30, 400), abs=3)


@pytest.mark.parametrize("side", [0.3, 1, 5, 8, 12])
@pytest.mark.parametrize("part", [0.05, 0.3, 1.0])
def test_a_box_of_few_pixels_is_given_up(side: float, part: float) -> None:
    """Also at the frame's edge, which leaves less than a pixel of it."""
    image = picture(200, 150)
    for box in (FaceBox(640 - part * side, 10, side, side), FaceBox(10, (part - 1) * side, side, side)):
        assert Template(image, box).find(image, box) is None
