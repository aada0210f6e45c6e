"""What a refresh learns beside the samples of a device."""

from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.labels import FER2013
from fer_edge.model.bundle import find_bundle
from fer_train.data.augmentation import Augmentation
from fer_train.data.datasets import LabelledFaces
from fer_train.keras_models import load_model, predict
from fer_train.training.replay import find_tilt, with_replay

PER_CLASS = 20


def known_faces(seed: int) -> LabelledFaces:
    """Upright faces that the model knows."""
    vary = Augmentation(rotate_degrees=3, noise=0, erase=0, compress=0, mirror=False, shift=0.02, scale=0.05)
    composites = load_composites()
    images = np.repeat(np.array([composites[label] for label in FER2013]), PER_CLASS, axis=0)
    return LabelledFaces(
        images=vary.apply(images, np.random.default_rng(seed)),
        targets=np.repeat(np.eye(7, dtype=np.float32), PER_CLASS, axis=0),
        rows=np.arange(len(images)),
        scheme="ferplus7",
        source=Path("faces"),
        split="train",
    )


def as_taken(faces: LabelledFaces, tilt: float) -> LabelledFaces:
    """The same, as a dark, noisy and tilted camera shows them."""
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), tilt, 1)
    tilted = np.array(
        [cv2.warpAffine(face, matrix, (48, 48), borderMode=cv2.BORDER_REPLICATE) for face in faces.images]
    )
    noisy = tilted / 3 + np.random.default_rng(5).normal(0, 4, faces.images.shape)
    return replace(faces, images=np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def mirrored(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(faces[:, :, ::-1])


@pytest.fixture(scope="module")
def start() -> keras.Model:
    return load_model(find_bundle("ferplus7-tiny") / "model.keras")


@pytest.fixture(scope="module")
def samples() -> LabelledFaces:
    return as_taken(known_faces(0), 20)


@pytest.fixture(scope="module")
def old() -> LabelledFaces:
    return known_faces(1)


@pytest.fixture(scope="module")
def learnt(samples: LabelledFaces, old: LabelledFaces, start: keras.Model) -> LabelledFaces:
    return with_replay(samples, old, start, seed=0)


@pytest.mark.parametrize("tilt", [-30, 20])
def test_the_tilt_of_the_camera_is_found(start: keras.Model, tilt: int) -> None:
    assert abs(find_tilt(as_taken(known_faces(0), tilt), start) - tilt) <= 5


@pytest.mark.slow
def test_a_tilt_that_may_be_chance_is_none(start: keras.Model) -> None:
    assert [find_tilt(known_faces(seed), start) for seed in range(3)] == [0, 0, 0]


def test_samples_come_first_with_their_label_and_what_the_model_said(
    samples: LabelledFaces, learnt: LabelledFaces, start: keras.Model
) -> None:
    assert (learnt.images[: len(samples)] == samples.images).all()
    wanted = 0.7 * samples.targets + 0.3 * predict(start, samples.images)
    np.testing.assert_allclose(learnt.targets[: len(samples)], wanted, atol=1e-5)
    np.testing.assert_allclose(learnt.targets.sum(axis=1), 1, atol=1e-4)
    assert (learnt.rows == np.arange(len(learnt))).all(), "each face counts as one of its own"


def test_old_faces_are_shown_as_they_are_and_as_the_camera_would_show_them(
    samples: LabelledFaces, old: LabelledFaces, learnt: LabelledFaces, start: keras.Model
) -> None:
    replayed = learnt.take(np.arange(2 * len(samples), len(learnt)))
    assert len(replayed) == 9600
    taken, plain = replayed.take(np.arange(6720)), replayed.take(np.arange(6720, 9600))
    assert abs(taken.images.mean() - samples.images.mean()) < 2
    assert abs(find_tilt(taken.take(np.arange(0, 6720, 40)), start) - 20) <= 5
    straight, reverse = ({face.tobytes() for face in faces} for faces in (old.images, mirrored(old.images)))
    is_straight = np.array([face.tobytes() in straight for face in plain.images])
    assert 0.4 < is_straight.mean() < 0.6
    assert {face.tobytes() for face in plain.images[~is_straight]} == reverse


def test_an_old_face_is_taught_its_label_and_what_the_model_said_of_it(
    samples: LabelledFaces, old: LabelledFaces, learnt: LabelledFaces, start: keras.Model
) -> None:
    said = (predict(start, old.images) + predict(start, mirrored(old.images))) / 2
    wanted = {face.tobytes(): target for face, target in zip(old.images, (old.targets + said) / 2, strict=True)}
    last = learnt.take(np.arange(len(learnt) - 40, len(learnt)))
    for face, target in zip(last.images, last.targets, strict=True):
        either = face.tobytes() if face.tobytes() in wanted else mirrored(face[None]).tobytes()
        np.testing.assert_allclose(target, wanted[either], atol=1e-5)
    as_shown = learnt.targets[2 * len(samples) : 2 * len(samples) + 50]
    distances = np.abs(as_shown[:, None] - np.array(list(wanted.values()))[None]).max(axis=2)
    assert (distances.min(axis=1) < 1e-5).all(), "a dark face is taught what the model said of the bright one"
