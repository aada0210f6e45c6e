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


def moves(*images: Image, faces: list[FaceBox] | None = None) -> bool:
    """Whether something has moved since the first of these pictures, one per second."""
    motion = MotionDetector()
    for now, image in enumerate(images):
        motion.update(image, float(now), faces or [])
    return motion.has_moved(0.0)


def test_what_changes_slowly_is_a_change_in_the_end_whatever_moves_elsewhere() -> None:
    """By one per cent from picture to picture, which is less than noise, while a lamp swings."""
    motion = MotionDetector()
    for step in range(24):
        image = with_something(room(1), 480 if step % 2 else 400, 60, 60)
        image[300:400, 100:200] = (image[300:400, 100:200] * (1 - 0.01 * step)).astype(np.uint8)
        motion.update(image, float(step))
    assert motion.has_moved(1.0, FaceBox(100, 300, 100, 100))
    assert not motion.has_moved(1.0, FaceBox(300, 300, 100, 100))


def test_the_first_picture_is_news() -> None:
    motion = MotionDetector()
    motion.update(room(1), 5.0)
    assert motion.has_moved(4.9)
    assert not motion.has_moved(5.0)


@pytest.mark.parametrize("noise", [0.0, 3.0, 12.0])
def test_noise_and_a_change_of_the_light_are_no_changes(noise: float) -> None:
    assert not moves(*(room(seed, noise=noise) for seed in range(1, 30)), room(40, noise=noise, light=1.06))


def test_a_cell_is_compared_up_to_its_edges() -> None:
    """Cells are 16 pixels wide here. Bars stand at their edges alone."""
    barred = room(1)
    barred[100:300, [x for x in range(96, 304) if x % 16 < 4 or x % 16 >= 12]] //= 2
    assert moves(room(1), barred)


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize("side", [60, 200, 440])
def test_somebody_who_comes_is_a_change(noise: float, side: int) -> None:
    assert moves(room(1, noise=noise), with_something(room(2, noise=noise), 20, 30, side))


def test_a_lamp_that_lights_everything_alike_is_no_change() -> None:
    brighter = np.asarray(np.clip(room(1).astype(int) + 30, 0, 255), np.uint8)
    assert not moves(room(1), brighter)
    assert moves(room(1), with_something(brighter, 20, 30, 100))


def test_three_cells_are_a_change_and_fewer_are_noise() -> None:
    """Of 16 pixels each."""
    assert not moves(room(1), with_something(room(1), 160, 160, 16))
    assert moves(room(1), with_something(room(1), 160, 160, 32))


def test_a_change_has_a_time_and_a_place() -> None:
    motion = MotionDetector()
    motion.update(room(1), 0.0)
    motion.update(with_something(room(1), 20, 30, 100), 1.0)
    motion.update(with_something(room(1), 20, 30, 100), 2.0)
    assert motion.has_moved(0.5)
    assert not motion.has_moved(1.0)
    assert motion.has_moved(0.5, FaceBox(0, 0, 200, 200))
    assert not motion.has_moved(0.5, FaceBox(320, 240, 320, 240))


@pytest.mark.parametrize(
    ("beside", "touching"),
    [
        (FaceBox(200, 240, 119, 47), FaceBox(200, 240, 121, 47)),
        (FaceBox(369, 240, 90, 47), FaceBox(367, 240, 90, 47)),
        (FaceBox(320, 140, 47, 99), FaceBox(320, 140, 47, 101)),
        (FaceBox(320, 289, 47, 90), FaceBox(320, 287, 47, 90)),
    ],
    ids=["left", "right", "above", "below"],
)
def test_a_change_lies_in_the_parts_that_touch_its_cells(beside: FaceBox, touching: FaceBox) -> None:
    """A change of three cells by three, from 320, 240 to 368, 288."""
    motion = MotionDetector()
    motion.update(room(1), 0.0)
    motion.update(with_something(room(1), 320, 240, 48), 1.0)
    assert not motion.has_moved(0.5, beside)
    assert motion.has_moved(0.5, touching)


def test_what_a_face_does_within_twice_its_box_is_no_motion() -> None:
    """The change is that of above. Boxes of half the size of the parts above leave the same out."""
    other = with_something(room(1), 320, 240, 48)
    assert not moves(room(1), other, faces=[FaceBox(332, 252, 23, 23)])
    assert moves(room(1), other, faces=[FaceBox(332, 252, 23, 12)]), "a row of cells remains"
    assert moves(room(1), other, faces=[FaceBox(332, 252, 12, 23)]), "a column of cells remains"
    assert moves(room(1), other, faces=[FaceBox(200, 100, 23, 23)])


@pytest.mark.parametrize(
    ("face", "part"),
    [
        (FaceBox(-300, 240, 60, 60), FaceBox(0, 225, 15, 90)),
        (FaceBox(740, 240, 60, 60), FaceBox(625, 225, 15, 90)),
        (FaceBox(240, -300, 60, 60), FaceBox(225, 0, 90, 15)),
        (FaceBox(240, 580, 60, 60), FaceBox(225, 465, 90, 15)),
    ],
    ids=["left", "right", "above", "below"],
)
def test_a_face_outside_the_frame_hides_nothing_of_it(face: FaceBox, part: FaceBox) -> None:
    other = room(1)
    for edge in (other[:, :16], other[:, -16:], other[:16], other[-16:]):
        edge[:] = (edge * 0.8).astype(np.uint8)
    motion = MotionDetector()
    motion.update(room(1), 0.0)
    motion.update(other, 1.0, [face])
    assert motion.has_moved(0.5, part)


def test_another_picture_altogether_is_a_cut_and_a_person_in_front_is_none() -> None:
    motion = MotionDetector()
    motion.update(room(1), 0.0)
    motion.update(with_something(room(1), 100, 100, 300), 1.0)
    assert not motion.is_cut
    motion.update(np.asarray(255 - room(1)[:, ::-1], np.uint8), 2.0)
    assert motion.is_cut
    motion.update(np.asarray(255 - room(1)[:, ::-1], np.uint8), 3.0)
    assert not motion.is_cut


def test_a_covered_lens_is_no_cut() -> None:
    motion = MotionDetector()
    black, other = np.zeros_like(room(1)), np.asarray(255 - room(1)[:, ::-1], np.uint8)
    for now, image in enumerate((room(1), black, room(1), black, other)):
        motion.update(image, float(now))
        assert motion.is_cut == (image is other), "what was there before it was covered is compared"


def test_what_a_known_face_does_is_no_change_until_it_is_lost() -> None:
    moved = with_something(room(1), 300, 200, 80)
    assert not moves(room(1), moved, faces=[FaceBox(290, 190, 100, 100)])
    assert moves(room(1), moved, faces=[FaceBox(500, 190, 100, 100)])
    assert not moves(room(1), moved, faces=[FaceBox(290, 190, 100, 100), FaceBox(-900, 5000, 10, 10)])
    beside = with_something(room(1), 256, 208, 48)
    assert not moves(room(1), beside, faces=[FaceBox(310, 200, 100, 100)]), "a head is larger than its face"
    motion = MotionDetector()
    for now, image in enumerate((room(1), moved)):
        motion.update(image, float(now), [FaceBox(290, 190, 100, 100)])
    assert motion.has_moved(0.0, with_faces=True)


@pytest.mark.parametrize(
    "gone", [FaceBox(-250, 190, 100, 100), FaceBox(290, -250, 100, 100), FaceBox(700, 190, 10, 10)]
)
def test_who_has_left_the_picture_hides_nobody_else(gone: FaceBox) -> None:
    assert moves(room(1), with_something(room(1), 300, 200, 80), faces=[gone])


def test_a_grey_picture_is_as_good() -> None:
    grey = room(1)[:, :, 0]
    assert not moves(grey, grey)
    assert moves(grey, with_something(grey, 20, 30, 100))
