"""Float against int8: every figure, with a float network whose answers are known beforehand."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_train.backend import load_keras
from fer_train.data.datasets import LABELS, LabelledFaces
from fer_train.evaluation.metrics import accuracy_interval, calibration_error

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_quantize.check import compare  # noqa: E402

NAMES = LABELS["ferplus7"]


def always(label: str) -> keras.Model:
    """A network that is 0.7 sure of one label, whatever it sees."""
    image = keras.Input((48, 48, 1))
    answers = keras.layers.Dense(7, activation="softmax", kernel_initializer="zeros")(keras.layers.Flatten()(image))
    model = keras.Model(image, answers)
    shares = np.where(np.array(NAMES) == label, 0.7, 0.05)
    model.layers[-1].bias.assign(np.log(shares))
    return model


def test_every_figure_is_that_of_its_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The float network is right about all happy faces; the int8 one, which ships, is wrong about some others too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # TensorFlow leaves its files there until the end
    images = np.stack([np.roll(face, shift, 1) for face in load_composites().values() for shift in (0, 3, 6, 9)])
    classes = np.repeat([NAMES.index(label) for label in load_composites()], 4)
    happy = NAMES.index("happy")
    classes[:2] = happy  # of angry faces: only the float network finds them happy
    faces = LabelledFaces(
        images, np.eye(7, dtype=np.float32)[classes], np.arange(28), "ferplus7", Path("data/made.csv"), "validation"
    )
    other = LabelledFaces(
        images, np.roll(faces.targets, 1, 1), np.arange(28), "ferplus7", Path("data/made.csv"), "validation"
    )
    bundle = load_bundle(find_bundle("ferplus7-tiny"))
    classifier = Classifier(bundle)
    ints = np.array([classifier.probabilities(image) for image in images])
    floats = np.tile(np.where(np.arange(7) == happy, 0.7, 0.05), (28, 1)).astype(np.float32)
    before, after = classes == happy, ints.argmax(axis=1) == classes
    assert (before & ~after).sum() >= 2
    assert (~before & after).sum() >= 10

    found = compare(always("happy"), bundle, [faces, other])

    first, second = found.measurements
    assert (first.accuracy.data, first.accuracy.split, first.accuracy.labels) == ("made.csv", "validation", "ferplus7")
    assert first.accuracy.images == 28
    assert first.accuracy.accuracy_float == pytest.approx(before.mean(), abs=1e-4)
    assert first.accuracy.accuracy_int8 == pytest.approx(after.mean(), abs=1e-4)
    assert first.interval_float == pytest.approx(accuracy_interval(before))
    assert first.interval_int8 == pytest.approx(accuracy_interval(after))
    assert (first.drop.lost, first.drop.gained) == ((before & ~after).sum(), (~before & after).sum())
    assert first.class_images == {label: int((classes == index).sum()) for index, label in enumerate(NAMES)}
    for index, label in enumerate(NAMES):
        own = classes == index
        lost = before[own].mean() - after[own].mean()
        assert first.class_drop(label) == pytest.approx(100 * lost), label
        assert first.net_losses[label] == round(lost * own.sum())
        assert first.accuracy.recall_float[label] == pytest.approx(before[own].mean(), abs=1e-4)
        assert first.accuracy.recall_int8[label] == pytest.approx(after[own].mean(), abs=1e-4)
    assert first.agreement == pytest.approx((ints.argmax(axis=1) == happy).mean())
    assert first.mean_difference == pytest.approx(np.abs(floats - ints).mean(), abs=1e-5)
    assert first.max_difference == pytest.approx(np.abs(floats - ints).max(), abs=1e-5)
    assert first.ece_float == pytest.approx(calibration_error(floats, classes), abs=1e-5)
    assert first.ece_int8 == pytest.approx(calibration_error(ints, classes), abs=1e-5)
    assert second.accuracy.accuracy_float == pytest.approx((other.classes == happy).mean(), abs=1e-4)
    assert found.distribution == pytest.approx(dict(zip(NAMES, ints.mean(axis=0), strict=True)), abs=1e-4)
    assert found.macs == 48 * 48 * 7
    assert found.int8.bytes == len(bundle.model)
    assert 4 * found.macs < found.float32.bytes < 5 * found.macs
    assert found.int8.latency_ms > 0.005, "in milliseconds: no thread computes five million products in that"
    assert found.float32.latency_ms > 0
