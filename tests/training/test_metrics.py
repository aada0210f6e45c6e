"""The figures of an evaluation, against a table that can be counted by hand."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import accuracy_interval, calibration_error, confusion, reliability, score


def faces_of(classes: list[int]) -> LabelledFaces:
    images = np.zeros((len(classes), 48, 48), np.uint8)
    targets = np.eye(7, dtype=np.float32)[classes]
    return LabelledFaces(images, targets, np.arange(len(classes)), "fer2013", Path("made.csv"), "validation")


def read_as(classes: list[int], confidence: float) -> npt.NDArray[np.float32]:
    """Probabilities with which a model names these classes."""
    probabilities = np.full((len(classes), 7), (1 - confidence) / 6, np.float32)
    probabilities[np.arange(len(classes)), classes] = confidence
    return probabilities


TRUE = [0, 0, 0, 0, 1, 1, 2, 2, 2, 3]
READ = [0, 0, 0, 1, 1, 2, 2, 2, 2, 4]


def test_the_scores_of_ten_faces() -> None:
    faces = faces_of(TRUE)
    found = score(read_as(READ, 0.9), faces)
    angry, disgust, fear, happy, sad, surprise, neutral = faces.labels
    assert (found.images, found.accuracy) == (10, 0.7)
    assert found.interval == pytest.approx(accuracy_interval(np.array(TRUE) == np.array(READ)), abs=1e-4)
    assert found.interval == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert found.calibration_error == pytest.approx(0.2, abs=1e-4)
    assert found.support == {angry: 4, disgust: 2, fear: 3, happy: 1, sad: 0, surprise: 0, neutral: 0}
    assert found.recall == {angry: 0.75, disgust: 0.5, fear: 1, happy: 0, sad: None, surprise: None, neutral: None}
    assert found.precision[angry] == 1
    assert found.precision[disgust] == 0.5
    assert found.precision[fear] == 0.75
    assert found.precision[happy] is None, "never named"
    assert found.f1[fear] == pytest.approx(2 * 0.75 / 1.75, abs=1e-4)


def test_rows_of_the_confusion_are_what_is_there_and_columns_what_was_named() -> None:
    table = confusion(read_as(READ, 0.9), faces_of(TRUE))
    assert table.shape == (7, 7)
    assert table[0].tolist() == [3, 1, 0, 0, 0, 0, 0]
    assert table[1].tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert table[3].tolist() == [0, 0, 0, 0, 1, 0, 0]
    assert table.sum() == 10


def test_confidence_is_compared_with_accuracy_bin_by_bin() -> None:
    """Of twenty faces half are read with 0.95 and half with 0.55: right are nine of the sure ones, and five."""
    probabilities = np.concatenate([read_as([0] * 10, 0.95), read_as([0] * 10, 0.55)])
    classes = np.array([0] * 9 + [1] + [0] * 5 + [1] * 5)
    found = reliability(probabilities, classes, bins=10)
    assert found.low == pytest.approx([0.5, 0.9])
    assert found.confidence == pytest.approx([0.55, 0.95])
    assert found.accuracy == pytest.approx([0.5, 0.9])
    assert found.count.tolist() == [10, 10]
    assert found.width == 0.1
    assert found.error == calibration_error(probabilities, classes, bins=10) == pytest.approx(0.05)
    assert reliability(read_as([0], 1.0), np.array([0]), bins=10).low == pytest.approx([0.9]), "in the last bin"


def test_each_face_counts_alike_in_the_calibration_error() -> None:
    """Of thirty sure faces 27 are right, and of ten others one."""
    probabilities = np.concatenate([read_as([0] * 30, 0.95), read_as([0] * 10, 0.55)])
    classes = np.array([0] * 27 + [1] * 3 + [0] + [1] * 9)
    assert calibration_error(probabilities, classes) == pytest.approx((30 * 0.05 + 10 * 0.45) / 40)


@pytest.mark.parametrize(("right", "wrong", "error"), [(0.66, 0.67, (0.34 + 0.67) / 2), (0.735, 0.79, 0.7625 - 0.5)])
def test_the_calibration_error_is_that_over_fifteen_bins(right: float, wrong: float, error: float) -> None:
    """Of 10, 12, 14, 16, 20 and 30 bins, none divides the first two faces and puts the other two together."""
    probabilities = np.concatenate([read_as([0], right), read_as([0], wrong)])
    assert calibration_error(probabilities, np.array([0, 1])) == pytest.approx(error)
