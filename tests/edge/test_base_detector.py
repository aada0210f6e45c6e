"""A detector of one's own: what a base class makes of its one method."""

import cv2
import numpy as np
import pytest

from fer_edge.detectors.base import BaseDetector
from fer_edge.types import FaceBox, Image


class Lamps(BaseDetector):
    """Takes each white spot for a face; the score is its share of the image."""

    def find_faces(self, image: Image) -> list[FaceBox]:
        count, _, found, _ = cv2.connectedComponentsWithStats((image[..., 0] > 0).astype(np.uint8))
        size = image[..., 0].size
        return [
            FaceBox(x, y, width, height, width * height / size) for x, y, width, height, _ in found[1:count].tolist()
        ]


def lamps(width: int, height: int, *places: tuple[int, int], side: int = 20) -> Image:
    """A dark image with white squares, given by their upper left corners."""
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in places:
        image[y : y + side, x : x + side] = 255
    return image


def places(found: list[FaceBox]) -> list[tuple[float, float, float, float]]:
    return [(box.x, box.y, box.width, box.height) for box in found]


def test_a_scan_is_the_whole_frame() -> None:
    image = lamps(300, 100, (5, 5), (270, 70))
    detector = Lamps()
    (whole,) = detector.regions(300, 100)
    assert (whole.x, whole.y, whole.width, whole.height, detector.variants) == (0, 0, 300, 100, 1)
    assert places(detector.detect(image)) == places(detector.detect(image, 0)) == [(5, 5, 20, 20), (270, 70, 20, 20)]


@pytest.mark.parametrize(("x", "y"), [(130, 40), (0, 0), (280, 0), (0, 80), (280, 80)])
@pytest.mark.parametrize("upright", [False, True])
def test_near_a_face_it_is_found_where_it_is_in_the_frame(x: int, y: int, upright: bool) -> None:
    """Also in a corner, and in a frame that is higher than wide."""
    width, height, x, y = (100, 300, y, x) if upright else (300, 100, x, y)
    image = lamps(width, height, (x, y))
    (box,) = Lamps().detect_near(image, FaceBox(x + 2, y - 2, 20, 20))
    assert (box.x, box.y, box.width, box.height) == (x, y, 20, 20)


def test_only_what_is_within_reach_is_found() -> None:
    image, expected = lamps(300, 100, (140, 40), (175, 40)), FaceBox(140, 40, 20, 20)
    near = Lamps().detect_near(image, expected)
    assert places(near) == [(140, 40, 20, 20)]
    assert near[0].score == pytest.approx(1 / 1.4**2, abs=0.03)
    assert places(Lamps().detect_near(image, expected, reach=4)) == [(140, 40, 20, 20), (175, 40, 15, 20)]
    assert Lamps().detect_near(image, FaceBox(400, 40, 20, 20)) == []


def test_a_face_is_confirmed_by_the_best_one_at_its_place() -> None:
    image = lamps(300, 100, (140, 40), (170, 44), side=28)
    box = Lamps().confirm(image, FaceBox(142, 42, 30, 30))
    assert box is not None
    assert (box.x, box.y, box.width, box.height) == (140, 40, 28, 28)
    assert Lamps().confirm(image, FaceBox(20, 40, 30, 30)) is None
