"""The reference of a bundle, against figures that are computed from its classifier face by face."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import Bundle, find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.prior import DEFAULT_POWER
from fer_edge.model.reference import Reference
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.expected_accuracy import chance_right
from fer_edge.monitoring.histograms import FEATURES
from fer_quantize.camera_faults import FITTED
from fer_quantize.reference import Trial, make_reference
from fer_train.data.augmentation import Augmentation
from fer_train.data.datasets import LABELS, LabelledFaces

NAMES = LABELS["ferplus7"]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(find_bundle("ferplus7-tiny"))


@pytest.fixture(scope="module")
def faces() -> LabelledFaces:
    """Composite faces, turned and lit in many ways; every sixth has a wrong label."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(7), 9)
    images = np.concatenate([Augmentation().apply(load_composites()[NAMES[label]][None], rng) for label in labels])
    classes = np.where(np.arange(63) % 6 == 0, (labels + 1) % 7, labels)
    targets = np.eye(7, dtype=np.float32)[classes]
    return LabelledFaces(images, targets, np.arange(63), "ferplus7", Path("data/made.csv"), "validation")


@pytest.fixture(scope="module")
def made(bundle: Bundle, faces: LabelledFaces) -> tuple[Reference, list[Trial]]:
    """What is made of the first 52 of these crops."""
    found = make_reference(bundle, faces, 52, are_crops=True)
    assert found is not None
    return found


def read(bundle: Bundle, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Probabilities as a device has them, with the prior that is usual."""
    classifier = Classifier(bundle, prior=DEFAULT_POWER)
    return np.array([classifier.probabilities(image) for image in images], np.float64)


def test_every_figure_is_that_of_the_faces_a_device_would_read(
    bundle: Bundle, faces: LabelledFaces, made: tuple[Reference, list[Trial]]
) -> None:
    reference, trials = made
    images, classes = faces.images[:52], faces.classes[:52]
    shares = read(bundle, images)
    assert not np.allclose(shares, [Classifier(bundle).probabilities(image) for image in images], atol=0.01)
    right = shares.argmax(axis=1) == classes
    assert 0.2 < right.mean() < 0.95
    assert (reference.faces, reference.data, reference.split, reference.labels) == (
        52, "made.csv", "validation", "ferplus7",
    )  # fmt: skip
    assert reference.prior == DEFAULT_POWER
    assert reference.accuracy == pytest.approx(right.mean(), abs=1e-4)
    entropy = [-sum(share * math.log(max(share, 1e-12)) for share in row) / math.log(7) for row in shares]
    for name, values in (("confidence", shares.max(axis=1)), ("entropy", entropy)):
        bins = [FEATURES[name].bin_of(float(value)) for value in values]
        assert reference.histograms[name] == {index: bins.count(index) for index in sorted(set(bins))}, name

    # The estimate is fitted on one half of the faces and tried on the other.
    plain = trials[0]
    assert (plain.corruption, plain.fitted, plain.trusted) == ("", True, True)
    assert plain.accuracy == pytest.approx(right[1::2].mean())
    assert plain.confidence == pytest.approx(shares.max(axis=1)[1::2].mean())
    errors = [trial.expected - trial.accuracy for trial in trials if trial.trusted]
    assert len(errors) < len(trials)
    assert reference.estimate.error == pytest.approx(math.sqrt(np.mean(np.square(errors))), abs=1e-4)


def test_the_estimate_expects_of_all_fitted_faces_together_what_they_had(
    bundle: Bundle, faces: LabelledFaces, made: tuple[Reference, list[Trial]]
) -> None:
    """A logistic regression with a bias does, on the faces that it is fitted on."""
    estimate, crops = made[0].estimate, faces.images[:52]
    kinds = [crops] + [kind.apply(crops, level, 0) for kind in FITTED for level in kind.levels]
    images = np.concatenate(kinds)
    shares = read(bundle, images)
    right = shares.argmax(axis=1) == np.tile(faces.classes[:52], len(kinds))
    expected = np.array([
        chance_right(estimate, float(sure), crop_statistics(image))
        for sure, image in zip(shares.max(axis=1), images, strict=True)
    ])  # fmt: skip
    assert expected.mean() == pytest.approx(right.mean(), abs=0.002)
    assert expected[right].mean() > expected[~right].mean() + 0.1


def test_faces_that_the_detector_does_not_find_take_their_labels_with_them(bundle: Bundle) -> None:
    """Ten pictures of noise come first."""
    names = ["happy", "surprise", "neutral"]
    composites = np.stack([load_composites()[name] for name in names])
    noise = np.random.default_rng(0).integers(0, 255, (10, 48, 48), np.uint8)
    images = np.concatenate([noise, np.tile(composites, (18, 1, 1))])
    classes = np.array([NAMES.index("angry")] * 10 + [NAMES.index(name) for name in names] * 18)
    classes[-10:] = NAMES.index("disgust")  # ten wrong ones: a model that is never wrong has no estimate
    targets = np.eye(7, dtype=np.float32)[classes]
    faces = LabelledFaces(images, targets, np.arange(64), "ferplus7", Path("made.csv"), "validation")
    made = make_reference(bundle, faces)
    assert made is not None
    assert 50 <= made[0].faces <= 54
    assert made[0].accuracy == pytest.approx(44 / 54, abs=0.04)
    assert make_reference(bundle, faces.take(np.arange(50))) is None, "forty faces say nothing"
