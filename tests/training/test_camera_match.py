"""Old faces are shown as a device's camera would show them."""

import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_train.data.augmentation import Augmentation
from fer_train.data.camera_match import match_camera, noise_level, turn

FACES = Augmentation(noise=0, compress=0, erase=0).apply(
    np.repeat(np.array(list(load_composites().values())), 10, axis=0), np.random.default_rng(0)
)


def dark_camera(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    noisy = faces / 3 + np.random.default_rng(1).normal(0, 6, faces.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def test_the_noise_is_estimated() -> None:
    assert np.mean([noise_level(face) for face in FACES]) < 1.5
    assert 5 < np.mean([noise_level(face) for face in dark_camera(FACES)]) < 6.5


def test_faces_get_light_contrast_and_noise_of_the_samples() -> None:
    samples = dark_camera(FACES)
    matched = match_camera(FACES, samples, np.random.default_rng(2))
    for measure in (np.mean, np.std, noise_level):
        wanted, found = (np.mean([measure(face) for face in faces]) for faces in (samples, matched))
        assert abs(found - wanted) < 0.1 * wanted + 0.3


def test_noise_of_the_samples_and_of_the_faces_is_counted_once() -> None:
    """A sample's contrast is that of its face and of its noise; a face that is made brighter has more noise."""
    rng = np.random.default_rng(1)
    calm = 64 + FACES / 2
    samples, clear, dark = (
        np.rint(faces + rng.normal(0, noise, FACES.shape)).astype(np.uint8)
        for faces, noise in ((calm, 15), (calm, 0), (calm / 3, 3))
    )
    for faces in (clear, dark):
        matched = match_camera(faces, samples, np.random.default_rng(2))
        for measure in (np.std, noise_level):
            wanted, found = (np.mean([measure(face) for face in some]) for some in (samples, matched))
            assert found == pytest.approx(wanted, rel=0.08)


def test_each_keeps_its_own_face() -> None:
    matched = match_camera(FACES, dark_camera(FACES), np.random.default_rng(2))
    likeness = [np.corrcoef(old.ravel(), new.ravel())[0, 1] for old, new in zip(FACES, matched, strict=True)]
    assert min(likeness) > 0.7


def test_noise_is_never_removed() -> None:
    noisy = dark_camera(FACES)
    matched = match_camera(noisy, FACES, np.random.default_rng(2))
    assert np.mean([noise_level(face) for face in matched]) > 6


def test_faces_turn_counter_clockwise() -> None:
    face = np.zeros((1, 48, 48), np.uint8)
    face[0, 4:8, 22:26] = 255  # a spot above the middle
    rows, columns = np.nonzero(turn(face, 90)[0] > 128)
    assert (columns >= 4).all()
    assert (columns < 8).all(), "now it is on the left"
    assert (np.abs(rows - 23.5) < 3).all()
    assert (turn(FACES, 0) == FACES).all()


def test_a_face_without_structure_has_no_noise_and_its_border_does_not_count() -> None:
    ramp = np.repeat(np.arange(0, 240, 5, dtype=np.uint8)[None], 48, axis=0)
    assert noise_level(ramp) == 0
    assert noise_level(ramp.T) == 0


def test_a_speck_of_noise_counts_alike_in_each_corner() -> None:
    levels = []
    for row, column in ((1, 1), (1, 46), (46, 1), (46, 46)):
        face = np.full((48, 48), 50, np.uint8)
        face[row, column] = 250
        levels.append(noise_level(face))
    assert levels == pytest.approx([levels[0]] * 4)
    assert levels[0] > 0


def test_no_faces_stay_none() -> None:
    for found in (turn(FACES[:0], 5), match_camera(FACES[:0], FACES, np.random.default_rng(0))):
        assert len(found) == 0
        assert found.dtype == np.uint8


def test_the_estimate_is_the_standard_deviation() -> None:
    faces = np.clip(np.random.default_rng(0).normal(128, 20, (30, 48, 48)).round(), 0, 255).astype(np.uint8)
    assert np.mean([noise_level(face) for face in faces]) == pytest.approx(20, rel=0.02)


def test_a_camera_without_contrast_leaves_one_level_of_it() -> None:
    grey = np.full((1, 48, 48), 90, np.uint8)
    matched = match_camera(FACES, grey, np.random.default_rng(0)).astype(float)
    assert np.mean(matched.std(axis=(1, 2))) == pytest.approx(np.sqrt(1 + 1 / 12), rel=0.05)
    assert np.mean(matched) == pytest.approx(90, abs=0.1)


def test_a_face_with_less_than_one_level_of_contrast_is_strengthened_as_if_it_had_one() -> None:
    stripes = np.repeat(np.arange(48, dtype=np.uint8)[None] // 8 % 2 + 100, 48, axis=0)[None]
    wide = np.repeat(np.arange(48)[None] // 8 % 2 * 80 + 60, 48, axis=0)[None].astype(np.uint8)
    smooth = np.stack([np.linspace(60, 140, 48).astype(np.uint8)] * 48)[None]
    for camera in (wide, smooth):
        contrast, noise = float(camera.std()), noise_level(camera[0])
        matched = match_camera(stripes, camera, np.random.default_rng(0)).astype(float)
        step = np.abs(matched[0, :, 2:6].mean() - matched[0, :, 10:14].mean())
        assert step == pytest.approx(np.sqrt(contrast**2 - noise**2), abs=1.5)


def test_levels_end_at_black_and_white() -> None:
    bright = np.full((1, 48, 48), 250, np.uint8)
    bright[:, ::12] = 130
    matched = match_camera(FACES, bright, np.random.default_rng(0))
    assert matched.dtype == np.uint8
    assert matched.max() == 255
    middle = np.median(matched, axis=(1, 2))
    assert middle.min() > 200, "none goes round"


def test_a_turned_face_keeps_its_middle_and_repeats_its_border() -> None:
    face = np.full((1, 48, 48), 77, np.uint8)
    assert (turn(face, 30) == 77).all()
    face[0, 23:25, 23:25] = 255
    for degrees in (90, 180, -90):
        assert (turn(face, degrees)[0, 23:25, 23:25] == 255).all()
    wide = np.arange(7 * 5, dtype=np.uint8).reshape(1, 5, 7)
    assert np.array_equal(turn(wide, 180)[0], wide[0, ::-1, ::-1])
