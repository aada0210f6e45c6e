"""TFLite models with any types of input and output are given grey levels, and answer real numbers."""

import numpy as np
import pytest
from tests.mean_model import mean_model

from fer_edge.assets.composites import load_composites
from fer_edge.model.interpreter import open_interpreter
from fer_edge.preprocess import resize
from fer_train.evaluation.tflite import answers, feed, real_answers

# These answer with the mean of each of three channels.
FACES = np.array(list(load_composites().values()))
MEANS = np.repeat([[resize(face, 40).mean()] for face in FACES], 3, axis=1)


def test_a_float_model_gets_levels_and_its_outputs_are_real_already() -> None:
    interpreter = open_interpreter(mean_model())
    feed(interpreter, FACES[0])
    given = interpreter.get_tensor(interpreter.get_input_details()[0]["index"])
    assert given.dtype == np.float32
    assert given.shape == (1, 40, 40, 3)
    assert np.array_equal(given[0, :, :, 2], resize(FACES[0], 40))
    for found in (answers(interpreter, FACES), real_answers(interpreter, FACES)):
        assert found.dtype == np.float32
        assert found == pytest.approx(MEANS, abs=1e-3)


@pytest.mark.parametrize(("dtype", "zero_point"), [("INT8", -128), ("UINT8", 0)])
def test_an_integer_model_gets_levels_above_its_zero_point(dtype: str, zero_point: int) -> None:
    interpreter = open_interpreter(mean_model(dtype=dtype, quantization=(1.0, zero_point)))
    raw = answers(interpreter, FACES)
    assert (raw.shape, raw.dtype) == ((7, 3), np.dtype(dtype.lower()))
    assert raw.astype(float) == pytest.approx(MEANS + zero_point, abs=1)
    real = real_answers(interpreter, FACES)
    assert real.dtype == np.float32
    assert real == pytest.approx(MEANS, abs=1)


def test_integer_outputs_are_scaled_to_real_numbers() -> None:
    interpreter = open_interpreter(mean_model(dtype="UINT8", quantization=(0.25, 30)))
    dark = np.array([[[40]], [[100]]], np.uint8).repeat(48, axis=1).repeat(48, axis=2)
    assert answers(interpreter, dark).tolist() == [[70] * 3, [130] * 3]
    assert real_answers(interpreter, dark).tolist() == [[10] * 3, [25] * 3]
