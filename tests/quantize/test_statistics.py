"""Against figures that can be checked by hand."""

from pathlib import Path

import keras
import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_edge.model.prior import DEFAULT_POWER, prior_weights, reweight
from fer_quantize.representative import representative_rows
from fer_quantize.statistics import paired_drop
from fer_quantize.temperature_scaling import best_temperature, calibrate, cross_fitted
from fer_train.data.datasets import LABELS, LabelledFaces, load_dataset
from fer_train.evaluation.metrics import accuracy_interval, calibration_error
from fer_train.keras_models import predict
from fer_train.training.losses import soften


def test_wilsons_interval() -> None:
    low, high = accuracy_interval(np.arange(100) < 80)
    assert low == pytest.approx(0.7112, abs=1e-4)
    assert high == pytest.approx(0.8666, abs=1e-4)


def test_a_paired_drop_counts_only_the_faces_that_changed() -> None:
    before = np.arange(1000) < 800
    after = before.copy()
    after[:15] = False
    after[800:805] = True
    drop = paired_drop(before, after)
    assert (drop.lost, drop.gained) == (15, 5)
    assert drop.drop == pytest.approx(1.0)
    assert drop.interval[0] == pytest.approx(0.10, abs=0.01)
    assert drop.interval[1] == pytest.approx(1.89, abs=0.01)
    assert drop.p_value == pytest.approx(0.0414, abs=1e-4)


def test_no_change_is_no_drop() -> None:
    right = np.arange(10) < 7
    drop = paired_drop(right, right)
    assert (drop.drop, drop.p_value) == (0, 1)
    assert drop.interval == pytest.approx((-16.3, 16.3), abs=0.1)


def test_the_interval_of_few_faces_is_shifted_towards_no_drop() -> None:
    """Three of ten are lost: (3 +- 1.96 sqrt(3 + 1 - 3^2 / 12)) / 12, in percent."""
    right = np.ones(10, bool)
    drop = paired_drop(right, np.arange(10) >= 3)
    assert (drop.lost, drop.gained) == (3, 0)
    assert drop.drop == pytest.approx(30)
    assert drop.interval == pytest.approx((-4.45, 54.45), abs=0.05)
    assert drop.p_value == pytest.approx(0.25)


def test_calibration_error_of_a_model_that_is_too_sure() -> None:
    probabilities = np.tile(np.array([0.9, 0.1], np.float32), (100, 1))
    classes = (np.arange(100) >= 60).astype(np.int64)
    assert calibration_error(probabilities, classes) == pytest.approx(0.3, abs=1e-6)


def test_the_temperature_that_the_labels_were_drawn_at_is_found() -> None:
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.full(7, 0.3), 4000).astype(np.float32)
    truth = soften(said, 1.6)
    classes = np.array([rng.choice(7, p=row / row.sum()) for row in truth.astype(np.float64)])
    as_it_is = np.ones(7, np.float32)
    assert best_temperature(said, classes, as_it_is) == pytest.approx(1.6, abs=0.1)
    assert calibration_error(said, classes) > 0.08
    assert calibration_error(cross_fitted(said, classes, as_it_is), classes) < 0.03
    one, other = (cross_fitted(said[:500], classes[:500], as_it_is, seed) for seed in (1, 2))
    assert not np.array_equal(one, other), "the halves are drawn"


def test_the_temperature_suits_what_the_prior_leaves() -> None:
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.full(7, 0.3), 4000).astype(np.float32)
    weights = np.array([8, 4, 2, 1, 1, 1, 1], np.float32)
    truth = reweight(soften(said, 1.6), weights)
    classes = np.array([rng.choice(7, p=row / row.sum()) for row in truth.astype(np.float64)])
    assert best_temperature(said, classes, weights) == pytest.approx(1.6, abs=0.1)
    assert calibration_error(cross_fitted(said, classes, weights), classes) < 0.03


def sure_model(activation: str = "softmax") -> keras.Model:
    """A model of two layers whose answers are much too sure of what is nearly chance."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((48, 48, 1))
    small = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 255)(inputs)))
    initial = keras.initializers.RandomNormal(stddev=1.5)
    last = keras.layers.Dense(7, activation=activation, kernel_initializer=initial, bias_initializer=initial)
    return keras.Model(inputs, last(small))


def random_faces(count: int) -> LabelledFaces:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 48, 48), np.uint8)
    targets = np.eye(7, dtype=np.float32)[rng.integers(0, 7, count)]
    return LabelledFaces(images, targets, np.arange(count), "fer2013", Path("made.csv"), "validation")


PRIOR = dict(zip(LABELS["fer2013"], (0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05), strict=True))


def test_a_model_is_calibrated_in_place_for_what_the_prior_leaves() -> None:
    model, faces, weights = sure_model(), random_faces(200), prior_weights(PRIOR, DEFAULT_POWER)
    before = predict(model, faces.images)
    found = calibrate(model, faces, PRIOR)
    assert found is not None
    assert found.temperature == round(best_temperature(before, faces.classes, weights), 4)
    assert found.temperature > 1.5
    assert predict(model, faces.images) == pytest.approx(soften(before, found.temperature), abs=1e-3)
    assert (found.split, found.images, found.prior) == ("validation", 200, DEFAULT_POWER)
    assert found.ece_before == round(calibration_error(reweight(before, weights), faces.classes), 4)
    assert found.ece == round(calibration_error(cross_fitted(before, faces.classes, weights), faces.classes), 4)
    assert found.ece < found.ece_before


@pytest.mark.parametrize(
    ("activation", "count", "said"),
    [
        ("softmax", 199, "the model is not calibrated: 199 faces are too few (at least 200)"),
        ("sigmoid", 300, "the model is not calibrated: its last layer is not a dense layer with softmax"),
    ],
)
def test_a_model_that_cannot_be_calibrated_stays_as_it_is(
    caplog: pytest.LogCaptureFixture, activation: str, count: int, said: str
) -> None:
    model, faces = sure_model(activation), random_faces(count)
    before = [weight.copy() for weight in model.get_weights()]
    with caplog.at_level("INFO"):
        assert calibrate(model, faces, PRIOR) is None
    assert caplog.messages == [said]
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.fixture
def train(tiny_data: Path) -> LabelledFaces:
    return load_dataset(tiny_data, "train", "ferplus7")


def test_the_representative_set_is_balanced_and_repeatable(train: LabelledFaces) -> None:
    rows = representative_rows(train, 70, seed=3)
    assert np.bincount(train.classes[rows]).tolist() == [10] * 7
    assert len(set(rows.tolist())) == 70
    assert np.array_equal(rows, representative_rows(train, 70, seed=3))
    assert not np.array_equal(rows, representative_rows(train, 70, seed=4))


def test_a_class_that_runs_out_leaves_its_share_to_the_others(train: LabelledFaces) -> None:
    few = train.take(np.flatnonzero((train.classes != 1) | (np.cumsum(train.classes == 1) <= 3)))
    counts = np.bincount(few.classes[representative_rows(few, 63, seed=0)], minlength=7)
    assert counts.tolist() == [10, 3, 10, 10, 10, 10, 10]


def test_a_class_of_hundreds_has_no_more_than_its_share(train: LabelledFaces) -> None:
    first, second = (np.flatnonzero(train.classes == label) for label in (0, 1))
    uneven = train.take(np.concatenate([np.tile(first, 8), second]))
    counts = np.bincount(uneven.classes[representative_rows(uneven, 60, seed=0)], minlength=7)
    assert counts.tolist() == [30, 30, 0, 0, 0, 0, 0]


def test_check_faces_cannot_set_the_ranges(tiny_data: Path) -> None:
    validation = load_dataset(tiny_data, "validation", "ferplus7")
    with pytest.raises(DataError, match="only train can"):
        representative_rows(validation, 10, seed=0)
