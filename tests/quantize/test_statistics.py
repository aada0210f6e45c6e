"""Against figures that can be checked by hand."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_edge.model.prior import reweight
from fer_quantize.representative import representative_rows
from fer_quantize.statistics import paired_drop
from fer_quantize.temperature_scaling import best_temperature, cross_fitted
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.evaluation.metrics import accuracy_interval, calibration_error
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


def test_the_temperature_suits_what_the_prior_leaves() -> None:
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.full(7, 0.3), 4000).astype(np.float32)
    weights = np.array([8, 4, 2, 1, 1, 1, 1], np.float32)
    truth = reweight(soften(said, 1.6), weights)
    classes = np.array([rng.choice(7, p=row / row.sum()) for row in truth.astype(np.float64)])
    assert best_temperature(said, classes, weights) == pytest.approx(1.6, abs=0.1)
    assert calibration_error(cross_fitted(said, classes, weights), classes) < 0.03


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


def test_check_faces_cannot_set_the_ranges(tiny_data: Path) -> None:
    validation = load_dataset(tiny_data, "validation", "ferplus7")
    with pytest.raises(DataError, match="only train can"):
        representative_rows(validation, 10, seed=0)
