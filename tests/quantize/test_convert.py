"""What the converter is given, and what is said when it refuses. Real conversions are in test_layers.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fer_edge.errors import ConfigError, ModelError
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so
import tensorflow as tf  # noqa: E402

from fer_quantize.convert import MODES, convert, parse_modes, samples  # noqa: E402

FACES = np.full((2, 48, 48), 100, np.uint8) + np.arange(2, dtype=np.uint8)[:, None, None]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    inputs = keras.Input((48, 48, 1))
    return keras.Model(inputs, keras.layers.Dense(7)(keras.layers.GlobalAveragePooling2D()(inputs)))


def test_the_first_sample_has_the_full_range_of_levels_and_the_others_are_the_faces() -> None:
    full, *others = (sample for (sample,) in samples(FACES, (48, 48, 1)))
    assert full.shape == (1, 48, 48, 1)
    assert full.dtype == np.float32
    assert full.ravel()[:3].tolist() == [0, 255, 100]
    assert np.unique(full.ravel()[2:]).tolist() == [100]
    assert np.array_equal(np.concatenate(others)[..., 0], FACES)
    colour, *_ = (sample for (sample,) in samples(FACES, (48, 48, 3)))
    assert colour.shape == (1, 48, 48, 3)


def test_modes_are_in_the_order_of_the_table() -> None:
    assert parse_modes(["float32", "int8"]) == ["int8", "float32"]
    assert parse_modes(["all"]) == list(MODES) == parse_modes(["int8", "all"])
    assert not parse_modes([])
    with pytest.raises(ConfigError, match=r"^--mode int9: is unknown\. Did you mean int8\?"):
        parse_modes(["int8", "int9", "int10"])


class Converter:
    """TensorFlow's converter, which refuses every model."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.target_spec = SimpleNamespace()

    def convert(self) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("\n  traceback \n  error: 'tf.Own' op is unknown \n more"), "error: 'tf.Own' op is unknown"),
        (RuntimeError("first\n this is not supported here"), "this is not supported here"),
        (RuntimeError("first\n Quantization failed"), "Quantization failed"),
        (ValueError("\n  first line\nsecond"), "first line"),
        (ValueError("x" * 300), "x" * 200),
        (ValueError(" \n "), "ValueError"),
    ],
)
def test_the_telling_line_of_a_refusal_is_said(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_keras_model", lambda _: Converter(error))
    with pytest.raises(ModelError) as caught:
        convert(model, FACES, "float16")
    assert str(caught.value) == f"cannot be converted to float16: {said}"


SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {},
    "dynamic": {"optimizations": [tf.lite.Optimize.DEFAULT]},
    "float16": {"optimizations": [tf.lite.Optimize.DEFAULT], "supported_types": [tf.float16]},
    "int8": {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8],
        "inference_input_type": tf.int8,
        "inference_output_type": tf.int8,
        "faces": 3,
    },
    "int16x8": {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "supported_ops": [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8],
        "faces": 3,
    },
}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_asks_the_converter_for_its_types(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    converter = Converter(RuntimeError("enough"))
    given: list[keras.Model] = []

    def make(found: keras.Model) -> Converter:
        given.append(found)
        return converter

    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_keras_model", make)
    with pytest.raises(ModelError):
        convert(model, FACES, mode)
    settings = {key: value for key, value in vars(converter).items() if key not in {"error", "target_spec"}}
    if "representative_dataset" in settings:
        settings["faces"] = len(list(settings.pop("representative_dataset")()))
    assert settings | vars(converter.target_spec) == SETTINGS[mode]
    assert given[0].input_shape == (1, 48, 48, 1)


def test_another_process_is_given_the_model_as_a_file(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(path: Path, representative: Any, mode: str) -> bytearray:
        other = keras.saving.load_model(path, compile=False)
        assert np.array_equal(other.layers[-1].kernel, model.layers[-1].kernel)
        assert representative is FACES
        return bytearray(mode.encode())

    monkeypatch.setattr("fer_quantize.convert._child", SimpleNamespace(call=call))
    assert convert(model, FACES, "dynamic") == b"dynamic"
