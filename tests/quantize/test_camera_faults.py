"""Faults of cameras that the estimate of accuracy is tried on, against what each does to simple pictures."""

import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.types import Image
from fer_quantize.camera_faults import (
    FITTED,
    TRIED,
    dark_and_noisy,
    dead_pixels,
    fog,
    motion_blur,
    overexposed,
    patch,
    poor_light,
    side_light,
)
from fer_train.data.corruptions import Corruption

RNG = np.random.default_rng(0)


def flat(level: int) -> Image:
    return np.full((48, 48), level, np.uint8)


@pytest.mark.parametrize("pixels", [5, 9, 13])
def test_a_moving_face_is_smeared_sideways_alone(pixels: int) -> None:
    upright, level = flat(0), flat(0)
    upright[:, 24] = level[24] = 255
    smeared = motion_blur(upright, pixels, RNG)
    assert np.flatnonzero(smeared[24]).tolist() == list(range(24 - pixels // 2, 25 + pixels // 2))
    assert smeared[24, 24] == pytest.approx(255 / pixels, abs=1)
    assert np.array_equal(motion_blur(level, pixels, RNG), level)


def test_fog_keeps_a_share_of_the_contrast_about_its_own_grey() -> None:
    for before, after in ((200, 200), (0, 150), (100, 175)):
        assert (fog(flat(before), 0.25, RNG) == after).all()


def test_light_from_the_right_leaves_a_part_of_it_on_the_left() -> None:
    lit = side_light(flat(200), 4, RNG)
    assert (lit[:, 0] == 50).all()
    assert (lit[:, -1] == 200).all()
    assert (np.diff(lit[0].astype(int)) > 0).all()


@pytest.mark.parametrize(("fault", "noise"), [(poor_light, 2), (dark_and_noisy, 8)])
def test_with_less_light_the_noise_of_the_sensor_stays(fault: object, noise: float) -> None:
    assert callable(fault)
    for part in (1, 2, 4):
        dark = fault(flat(200), part, np.random.default_rng(0))
        assert dark.mean() == pytest.approx(200 / part, abs=1)
        assert dark.std() == pytest.approx(noise, rel=0.1)


def test_too_much_light_ends_at_white() -> None:
    for before, after in ((100, 150), (170, 255), (240, 255)):
        assert (overexposed(flat(before), 1.5, RNG) == after).all()


def test_dead_pixels_are_black_or_white_and_of_their_share() -> None:
    before = flat(100)
    damaged = dead_pixels(before, 0.1, np.random.default_rng(0))
    assert set(np.unique(damaged)) == {0, 100, 255}
    assert (damaged != 100).mean() == pytest.approx(0.1, abs=0.02)
    assert (damaged == 0).sum() == pytest.approx((damaged == 255).sum(), rel=0.25)
    assert (before == 100).all(), "the face itself stays"


def test_a_patch_is_a_grey_square_anywhere() -> None:
    rng, corners = np.random.default_rng(0), set()
    before = flat(0)
    for _ in range(20):
        rows, columns = np.nonzero(patch(before, 16, rng) == 128)
        assert (int(np.ptp(rows)), int(np.ptp(columns)), len(rows)) == (15, 15, 256)
        corners.add((int(rows.min()), int(columns.min())))
    assert len(corners) > 15
    assert not before.any(), "the face itself stays"


@pytest.mark.parametrize("corruption", [*FITTED, *TRIED], ids=lambda corruption: corruption.name)
def test_a_damaged_face_is_a_picture_of_the_same_kind_and_more_so_at_each_level(corruption: Corruption) -> None:
    face = load_composites()["happy"]
    kept, differences = face.copy(), []
    for level in corruption.levels:
        damaged = corruption.corrupt(face, level, np.random.default_rng(0))
        assert (damaged.dtype, damaged.shape) == (face.dtype, face.shape)
        differences.append(float(np.abs(damaged.astype(float) - face).mean()))
    assert differences == sorted(differences)
    assert differences[0] > 0
    assert np.array_equal(face, kept), "the face itself stays"


def test_levels_are_rounded_to_the_nearest() -> None:
    for before, after in ((1, 2), (3, 4), (5, 8)):
        assert (overexposed(flat(before), 1.5, RNG) == after).all()
    assert (fog(flat(101), 0.5, RNG) == 150).all()
