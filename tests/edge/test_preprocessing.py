"""What a model sees of a crop, and what its outputs mean, against figures that can be checked by hand."""

import numpy as np
import pytest
from pydantic import ValidationError

from fer_edge.model.preprocessing import (
    Outputs,
    Preprocessing,
    input_table,
    kind_of_outputs,
    real_outputs,
    to_probabilities,
)


def test_the_input_of_a_float_model_is_level_less_mean_over_scale_per_channel() -> None:
    wanted = Preprocessing(mean=(100, 50, 0), scale=(2, 4, 255))
    table = input_table(wanted, 3, np.float32, (0.0, 0))
    assert table.shape == (256, 3)
    assert table.dtype == np.float32
    assert table[[0, 110, 255]] == pytest.approx(np.array([[-50, -12.5, 0], [5, 15, 110 / 255], [77.5, 51.25, 1]]))


def test_one_number_is_for_all_channels() -> None:
    table = input_table(Preprocessing(mean=(127.5,), scale=(127.5,)), 3, np.float32, (0.0, 0))
    assert table[[0, 255]].tolist() == [[-1, -1, -1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        (np.int8, (1.0, -128), [-128, -28, 127]),
        (np.uint8, (1.0, 0), [0, 100, 255]),
        (np.int8, (0.5, -128), [-128, 72, 127]),
        (np.uint8, (2.0, 3), [3, 53, 131]),
    ],
)
def test_the_input_of_a_quantized_model_is_rounded_and_clipped(
    dtype: type[np.generic], quantization: tuple[float, int], expected: list[int]
) -> None:
    table = input_table(Preprocessing(), 1, dtype, quantization)
    assert table.dtype == dtype
    assert table[[0, 100, 255], 0].tolist() == expected


def test_levels_below_what_a_type_holds_are_clipped_too() -> None:
    table = input_table(Preprocessing(mean=(10,)), 1, np.int8, (1.0, -128))
    assert table[[0, 9, 10, 11], 0].tolist() == [-128, -128, -128, -127]


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([[0.2, 0.8], [1, 0]], "probabilities"),
        ([[-0.02, 1.02]], "probabilities"),
        ([[-0.04, 1]], "logits"),
        ([[0, 1.04]], "logits"),
        ([[0.2, 0.8], [0.3, 0.8]], None),
        ([[0.2, 0.8], [-5, 6]], "logits"),
    ],
)
def test_outputs_below_zero_or_above_one_are_logits(rows: list[list[float]], kind: Outputs | None) -> None:
    assert kind_of_outputs(np.array(rows, np.float32)) == kind


def test_quantized_outputs_become_real_ones() -> None:
    raw = np.array([[-128, 0, 127]], np.int8)
    real = real_outputs(raw, (1 / 256, -128))
    assert real.dtype == np.float32
    assert real == pytest.approx(np.array([[0, 0.5, 255 / 256]]))
    floats = np.array([0.25, 0.75], np.float32)
    assert real_outputs(floats, (0.0, 0)).tolist() == [0.25, 0.75]
    assert real_outputs(np.array([1, 2], np.float64), (0.0, 0)).dtype == np.float32


def test_logits_get_a_softmax_each_row_by_itself() -> None:
    logits = np.log(np.array([[1, 2, 5], [8, 1, 1]], np.float32)) + np.array([[0], [300]], np.float32)
    shares = to_probabilities(logits, "logits")
    assert shares.dtype == np.float32
    assert shares == pytest.approx(np.array([[0.125, 0.25, 0.625], [0.8, 0.1, 0.1]]), abs=1e-4)
    assert to_probabilities(logits[0], "logits") == pytest.approx(shares[0])


def test_probabilities_are_taken_as_they_are_but_for_what_rounding_made_negative() -> None:
    assert to_probabilities(np.array([-0.004, 0.5, 0.5], np.float32), "probabilities").tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize("wrong", [{"mean": (1, 2)}, {"scale": (1, 2)}, {"scale": (0,)}, {"scale": (1, 1, -1)}])
def test_numbers_that_no_model_has_are_refused(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate(wrong)
