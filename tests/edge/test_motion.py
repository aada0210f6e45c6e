"""Still and changed pictures."""

import cv2
import numpy as np
import pytest

from fer_edge.tracking.motion import MotionDetector
from fer_edge.types import FaceBox, Image


def room(seed: int, *, noise: float = 0.0, light: float = 1.0) -> Image:
    """Always the same room, seen through a camera's noise."""
    wall = cv2.resize(np.random.default_rng(0).normal(110, 25, (12, 16)).astype(np.float32), (640, 480))
    grain = np.random.default_rng(seed).normal(0, noise, (480, 640, 3)) if noise else 0.0
    return np.asarray(np.clip(wall[:, :, None] * np.ones(3) * light + grain, 0, 255), np.uint8)


def with_something(image: Image, x: int, y: int, side: int) -> Image:
    """Something a little darker that stands there."""
    changed = image.copy()
    changed[y : y + side, x : x + side] = (changed[y : y + side, x : x + side] * 0.8).astype(np.uint8)
    return changed


def test_nothing_is_known_of_the_first_picture() -> None:
    assert not MotionDetector().is_still(room(1), [])


@pytest.mark.parametrize("noise", [0.0, 3.0, 12.0])
def test_noise_and_a_change_of_the_light_are_no_changes(noise: float) -> None:
    scene = MotionDetector()
    scene.remember(room(1, noise=noise))
    assert all(scene.is_still(room(seed, noise=noise), []) for seed in range(2, 30))
    assert scene.is_still(room(2, noise=noise, light=1.06), [])


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize("side", [60, 200, 440])
def test_somebody_who_comes_is_a_change(noise: float, side: int) -> None:
    scene = MotionDetector()
    scene.remember(room(1, noise=noise))
    assert not scene.is_still(with_something(room(2, noise=noise), 20, 30, side), [])


def test_another_picture_altogether_is_a_change() -> None:
    scene = MotionDetector()
    scene.remember(room(1))
    assert not scene.is_still(np.asarray(255 - room(1)[:, ::-1], np.uint8), [])


def test_what_a_known_face_does_is_no_change() -> None:
    scene = MotionDetector()
    scene.remember(room(1))
    moved = with_something(room(1), 300, 200, 80)
    assert scene.is_still(moved, [FaceBox(290, 190, 100, 100)])
    assert not scene.is_still(moved, [FaceBox(500, 190, 100, 100)])
    assert scene.is_still(moved, [FaceBox(290, 190, 100, 100), FaceBox(-900, 5000, 10, 10)])


@pytest.mark.parametrize(
    "gone", [FaceBox(-250, 190, 100, 100), FaceBox(290, -250, 100, 100), FaceBox(700, 190, 10, 10)]
)
def test_who_has_left_the_picture_hides_nobody_else(gone: FaceBox) -> None:
    scene = MotionDetector()
    scene.remember(room(1))
    assert not scene.is_still(with_something(room(1), 300, 200, 80), [gone])


def test_a_grey_picture_is_as_good() -> None:
    scene = MotionDetector()
    scene.remember(room(1)[:, :, 0])
    assert scene.is_still(room(1)[:, :, 0], [])
