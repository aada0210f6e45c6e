"""What each corruption does to a face, measured on pictures whose angle, place and noise can be read off."""

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_train.data.corruptions import CORRUPTIONS, Corruption

FACES = np.array(list(load_composites().values()))
BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_each_level_corrupts_a_face_more_and_keeps_the_original(corruption: Corruption) -> None:
    before = FACES.copy()
    distances = []
    for level in corruption.levels:
        corrupted = corruption.apply(FACES, level, seed=3)
        assert corrupted.shape == FACES.shape
        assert corrupted.dtype == np.uint8
        assert np.array_equal(corrupted, corruption.apply(FACES, level, seed=3))
        distances.append(float(np.abs(corrupted.astype(int) - FACES).mean()))
    assert distances == sorted(distances)
    assert distances[0] > 0
    assert np.array_equal(FACES, before)


def test_darker_is_darker_and_lighter_is_lighter() -> None:
    assert BY_NAME["darker"].apply(FACES, 2.5, 0).mean() < FACES.mean() < BY_NAME["lighter"].apply(FACES, 0.4, 0).mean()
    grey = np.full((1, 48, 48), 128, np.uint8)
    assert (BY_NAME["darker"].apply(grey, 2.5, 0) == round(255 * (128 / 255) ** 2.5)).all()


def test_another_seed_draws_other_noise_directions_and_sides() -> None:
    for name in ("noise", "shift", "rotation"):
        first, other = (BY_NAME[name].apply(FACES, 20, seed) for seed in (1, 2))
        assert not np.array_equal(first, other), name


def test_noise_has_the_standard_deviation_of_its_level() -> None:
    assert BY_NAME["noise"].apply(np.full((9, 48, 48), 128, np.uint8), 20, 0).std() == pytest.approx(20, rel=0.02)


def corrupted_bars(name: str, level: float) -> list[dict[str, float]]:
    """The moments of many pictures of a white bar that lies in the middle."""
    picture = np.zeros((48, 48), np.uint8)
    picture[21:27, 15:33] = 255
    corrupted = BY_NAME[name].apply(np.repeat(picture[None], 100, axis=0), level, 0)
    return [dict(cv2.moments(one)) for one in corrupted]


def test_heads_are_tilted_by_the_level_to_either_side() -> None:
    angles = [np.degrees(np.arctan2(2 * m["mu11"], m["mu20"] - m["mu02"]) / 2) for m in corrupted_bars("rotation", 20)]
    assert np.abs(angles) == pytest.approx(np.full(100, 20), abs=0.5)
    assert 30 < np.sum(np.array(angles) > 0) < 70


def test_faces_are_shifted_by_the_level_in_any_direction() -> None:
    centres = [(m["m10"] / m["m00"] - 23.5, m["m01"] / m["m00"] - 23.5) for m in corrupted_bars("shift", 6)]
    moved = np.array(centres)
    assert np.hypot(*moved.T) == pytest.approx(np.full(100, 6), abs=0.1)
    quadrants = np.unique((moved > 0) @ [1, 2], return_counts=True)[1]
    assert len(quadrants) == 4
    assert quadrants.min() > 10


def test_a_blur_spreads_an_edge_by_its_level() -> None:
    edge = np.repeat(np.array([0, 250], np.uint8), 24 * 48).reshape(1, 48, 48)
    slope = np.diff(BY_NAME["blur"].apply(edge, 2, 0)[0, :, 24].astype(int)) / 250
    assert np.sqrt(slope @ (np.arange(47) - 23) ** 2) == pytest.approx(2, rel=0.05)


def test_heads_are_tilted_about_the_middle_of_the_face() -> None:
    for moments in corrupted_bars("rotation", 30):
        centre = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
        assert centre == pytest.approx((23.5, 23.5), abs=0.1)


def test_what_comes_in_from_the_edge_repeats_the_edge() -> None:
    grey = np.full((20, 48, 48), 90, np.uint8)
    for name in ("shift", "rotation", "blur", "scale"):
        assert (BY_NAME[name].apply(grey, 12, 0) == 90).all(), name


def test_noise_stays_within_the_levels_and_has_their_mean() -> None:
    for level in (0, 128, 255):
        noisy = BY_NAME["noise"].apply(np.full((9, 48, 48), level, np.uint8), 30, 0).astype(int)
        expected = {0: 30 / np.sqrt(2 * np.pi), 128: 128, 255: 255 - 30 / np.sqrt(2 * np.pi)}[level]
        assert noisy.mean() == pytest.approx(expected, abs=1)


def test_gamma_keeps_black_and_white_and_maps_each_level_by_its_power() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for name, exponent in (("darker", 1.7), ("lighter", 0.6)):
        expected = np.rint(255 * (np.arange(256) / 255) ** exponent)
        assert BY_NAME[name].apply(levels, exponent, 0).ravel().tolist() == expected.tolist()


def test_the_levels_are_in_the_order_of_the_table() -> None:
    assert {corruption.name: corruption.unit for corruption in CORRUPTIONS} == {
        "scale": "px", "blur": "px", "noise": "levels", "lighter": "gamma", "darker": "gamma", "JPEG": "quality",
        "shift": "px", "rotation": "degrees",
    }  # fmt: skip


def test_jpeg_has_the_quality_of_its_level() -> None:
    content = cv2.imencode(".jpg", FACES[0], (cv2.IMWRITE_JPEG_QUALITY, 20))[1]
    expected = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    assert expected is not None
    assert np.array_equal(BY_NAME["JPEG"].apply(FACES[:1], 20, 0)[0], expected)


def test_a_blur_spreads_alike_in_both_directions() -> None:
    blur = BY_NAME["blur"]
    turned = blur.apply(np.ascontiguousarray(FACES.transpose(0, 2, 1)), 2, 0).astype(int)
    assert np.abs(turned.transpose(0, 2, 1) - blur.apply(FACES, 2, 0)).max() <= 1
