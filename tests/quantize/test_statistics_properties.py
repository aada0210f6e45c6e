"""The figures by which a model is judged, against SciPy and against themselves turned round."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from fer_edge.model.prior import prior_weights, reweight
from fer_quantize.statistics import paired_drop
from fer_quantize.temperature_scaling import best_temperature, cross_fitted
from fer_train.evaluation.metrics import accuracy_interval, calibration_error, reliability
from fer_train.training.losses import soften

quick = settings(deadline=None, derandomize=True, database=None, max_examples=60)

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@st.composite
def answers(draw: st.DrawFn, smallest: int = 1, largest: int = 80) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Probabilities of four classes, and the true classes."""
    count = draw(st.integers(smallest, largest))
    raw = draw(arrays(np.float32, (count, 4), elements=st.floats(0.0078125, 1, width=32)))
    classes = draw(arrays(np.int64, count, elements=st.integers(0, 3)))
    return raw / raw.sum(axis=1, keepdims=True), classes


pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=300).map(
    lambda pairs: (np.array([one for one, _ in pairs]), np.array([other for _, other in pairs]))
)


@quick
@given(pairs)
def test_a_drop_is_a_gain_the_other_way_round(pair: tuple[Bools, Bools]) -> None:
    before, after = pair
    drop, gain = paired_drop(before, after), paired_drop(after, before)
    assert drop.drop == pytest.approx(100 * (before.mean() - after.mean()), abs=1e-9)
    assert gain.drop == pytest.approx(-drop.drop)
    assert (gain.lost, gain.gained) == (drop.gained, drop.lost)
    assert gain.interval == pytest.approx((-drop.interval[1], -drop.interval[0]))
    assert gain.p_value == pytest.approx(drop.p_value)
    changed = drop.lost + drop.gained
    expected = binomtest(min(drop.lost, drop.gained), changed, 0.5, "two-sided").pvalue if changed else 1
    assert drop.p_value == pytest.approx(expected)


def test_the_interval_of_a_drop_holds_it_as_often_as_it_says() -> None:
    """3000 comparisons of 300 faces each, of two models whose true difference is 5 points."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(3000):
        draw = rng.random(300)
        before, after = draw < 0.80, (draw < 0.72) | ((draw > 0.9) & (draw < 0.93))
        low, high = paired_drop(before, after).interval
        inside += low <= 5 <= high
    assert inside / 3000 == pytest.approx(0.95, abs=0.015)


@quick
@given(arrays(bool, st.integers(1, 400)))
def test_an_interval_lies_about_its_accuracy_within_0_and_1(right: Bools) -> None:
    low, high = accuracy_interval(right)
    assert 0 <= low <= right.mean() <= high <= 1
    turned = accuracy_interval(~right)
    assert turned == pytest.approx((1 - high, 1 - low), abs=1e-9)


@quick
@given(answers(), st.integers(1, 20))
def test_the_calibration_error_is_that_of_its_definition(
    answer: tuple[Floats, npt.NDArray[np.int64]], bins: int
) -> None:
    probabilities, classes = answer
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == classes
    total = 0.0
    for number in range(bins):
        inside = np.minimum((confidence * bins).astype(int), bins - 1) == number
        if inside.any():
            total += inside.sum() / len(classes) * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(probabilities, classes, bins) == pytest.approx(total, abs=1e-6)
    found = reliability(probabilities, classes, bins)
    assert found.count.sum() == len(classes)
    assert (found.low <= found.confidence + 1e-6).all()
    assert (found.confidence <= found.low + found.width + 1e-6).all()


@quick
@given(answers(), st.floats(0.3, 4), st.floats(0.3, 4))
def test_temperatures_multiply_and_keep_the_order_of_classes(
    answer: tuple[Floats, npt.NDArray[np.int64]], one: float, other: float
) -> None:
    probabilities, _ = answer
    assert soften(soften(probabilities, one), other) == pytest.approx(soften(probabilities, one * other), abs=1e-3)
    highest = probabilities.max(axis=1)
    assert np.take_along_axis(probabilities, soften(probabilities, one).argmax(axis=1)[:, None], 1)[
        :, 0
    ] == pytest.approx(highest, abs=1e-5)
    if one > 1:
        assert (soften(probabilities, one).max(axis=1) <= highest + 1e-6).all()


@quick
@given(
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    st.floats(0, 1),
    answers(largest=5),
)
def test_a_prior_is_taken_back_by_its_own_weights(
    shares: list[float], power: float, answer: tuple[Floats, npt.NDArray[np.int64]]
) -> None:
    probabilities, _ = answer
    prior = {str(index): share / sum(shares) for index, share in enumerate(shares)}
    weights = prior_weights(prior, power)
    assert weights == pytest.approx(np.array(list(prior.values())) ** -power, rel=1e-4)
    weighted = reweight(probabilities, weights)
    assert weighted.sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert reweight(weighted, np.float32(1) / weights) == pytest.approx(probabilities, abs=1e-4)


@pytest.fixture(scope="module")
def sure() -> tuple[Floats, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.full(7, 0.4), 600).astype(np.float32)
    classes = np.array([rng.choice(7, p=row / row.sum()) for row in soften(said, 1.5).astype(np.float64)])
    return said, classes


def test_a_face_is_judged_at_a_temperature_that_its_own_label_has_no_part_in(
    sure: tuple[Floats, npt.NDArray[np.int64]],
) -> None:
    """So the error that is reported is one on fresh faces: a wrong label changes the other half's answers alone."""
    said, classes = sure
    as_it_is = np.ones(7, np.float32)
    before = cross_fitted(said, classes, as_it_is)
    for index in (0, 100, 599):
        other = classes.copy()
        other[index] = said[index].argmin()
        changed = np.any(cross_fitted(said, other, as_it_is) != before, axis=1)
        assert not changed[index]
        assert changed.sum() == pytest.approx(300, abs=1), "the other half"


def test_a_model_twice_as_sure_wants_twice_the_temperature(sure: tuple[Floats, npt.NDArray[np.int64]]) -> None:
    said, classes = sure
    as_it_is = np.ones(7, np.float32)
    plain = best_temperature(said, classes, as_it_is)
    assert plain == pytest.approx(1.5, abs=0.2)
    assert best_temperature(soften(said, 1 / 1.2), classes, as_it_is) == pytest.approx(1.2 * plain, rel=0.02)
