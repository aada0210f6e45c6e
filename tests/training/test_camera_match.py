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
