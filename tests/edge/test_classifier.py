"""The shipped model, through a real interpreter."""

from pathlib import Path

import numpy as np

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier


def test_probabilities_sum_to_one(bundle_dir: Path) -> None:
    classifier = Classifier(load_bundle(bundle_dir))
    rng = np.random.default_rng(0)
    for _ in range(20):
        probabilities = classifier.probabilities(rng.integers(0, 256, (48, 48), np.uint8))
        assert probabilities.shape == (7,)
        assert probabilities.dtype == np.float32
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-5)


def test_it_reads_most_composite_faces_right(bundle_dir: Path) -> None:
    classifier = Classifier(load_bundle(bundle_dir))
    read = {label: classifier.predict(face).label for label, face in load_composites().items()}
    assert sum(label == answer for label, answer in read.items()) >= 5, read


def test_black_and_white_pictures_are_answered_too(bundle_dir: Path) -> None:
    classifier = Classifier(load_bundle(bundle_dir))
    for level in (0, 255):
        assert classifier.predict(np.full((48, 48), level, np.uint8)).label in classifier.labels
