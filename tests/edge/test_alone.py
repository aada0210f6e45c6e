"""A new model that nothing is compared with: the bounds that it must keep."""

import numpy as np
import pytest

from fer_edge import Prediction
from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.manifest import Manifest
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.expected_accuracy import chance_right
from fer_edge.types import Image
from fer_edge.updates.alone import Alone

FACE = load_composites()["happy"]


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_bundle(find_bundle("ferplus7-tiny")).manifest


def seen(confidence: float, crop: Image | None = FACE) -> Prediction:
    return Prediction(np.array([confidence, 1 - confidence], np.float32), "happy", confidence, crop)


def problem(manifest: Manifest, *faces: Prediction) -> str | None:
    alone = Alone(manifest, uncertain_below=0.35, min_fps=5)
    for face in faces:
        alone.add(face)
    assert alone.faces == len(faces)
    return alone.problem()


def test_more_than_half_uncertain_labels_are_too_many(manifest: Manifest) -> None:
    without = manifest.model_copy(update={"reference": None})
    assert problem(without, *[seen(0.34)] * 60, *[seen(0.35)] * 60) is None
    assert problem(without, *[seen(0.34)] * 61, *[seen(0.35)] * 59) == (
        "51% of its labels are uncertain, and 50% are the most"
    )
    assert problem(without, *[seen(0.34)] * 119) is None, "too few faces"


def test_an_expected_accuracy_below_a_half_is_too_little(manifest: Manifest) -> None:
    assert manifest.reference is not None
    unsure = next(
        confidence / 1000
        for confidence in range(999, 349, -1)
        if chance_right(manifest.reference.estimate, confidence / 1000, crop_statistics(FACE)) < 0.45
    )
    assert problem(manifest, *[seen(0.99)] * 120) is None
    assert str(problem(manifest, *[seen(unsure)] * 120)).startswith("its expected accuracy is 4")
    assert problem(manifest.model_copy(update={"reference": None}), *[seen(unsure)] * 120) is None


def test_a_model_must_allow_what_is_wanted_or_what_the_camera_delivers(manifest: Manifest) -> None:
    alone = Alone(manifest, uncertain_below=0.35, min_fps=5)
    for count in range(120):
        assert alone.speed_problem(1000.0, 30.0) is None, f"{count} faces are too few"
        alone.add(seen(0.9))
    assert alone.speed_problem(0.0, 30.0) is None
    assert alone.speed_problem(200.0, 30.0) is None
    assert alone.speed_problem(250.0, 30.0) == "it allows 4.0 frames per second, and 5 are the least"
    assert alone.speed_problem(250.0, 4.0) is None
    assert alone.speed_problem(500.0, 4.0) == "it allows 2.0 frames per second, and 4 are the least"
