"""Keras model to full-int8 TFLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from fer_edge.errors import ModelError
from fer_edge.interpreter import open_interpreter

from fer_quantize.quiet import quiet

_WHOLE_NUMBERS = (np.int8, np.int32)
"""int32 holds biases and shapes."""
_BRIDGES = ("tfl.quantize", "tfl.dequantize")
"""What the converter puts before and after an operation that stays in float."""


def load_keras(path: Path) -> keras.Model:
    """Read a `.keras` model that eats grey faces.

    Raises:
        ModelError: it is missing, unreadable, or of another input shape.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file. Train one with fer-train fit")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: is not a usable Keras model ({str(error).splitlines()[0][:160]})") from error
    if len(model.inputs) != 1 or len(model.input_shape) != 4 or model.input_shape[3] != 1:
        raise ModelError(f"{path}: its input has shape {model.input_shape}, expected (None, height, width, 1)")
    return model


def to_int8(model: keras.Model, representative: npt.NDArray[np.uint8]) -> bytes:
    """Convert a model to int8 weights (per channel), activations, input and output.

    The input's range is that of a grey picture, so its scale is 1 and its zero point -128.

    Args:
        model: input (N, H, W, 1) of grey levels 0..255, output (N, C) of probabilities.
        representative: faces that set the ranges, shape (N, H, W), uint8.

    Returns:
        The content of a `.tflite` file.

    Raises:
        ModelError: an operation has no int8 kernel, or a tensor stayed in float; both by name.

    The scheme is that of Jacob et al., 2018 (arXiv:1712.05877) as the LiteRT 8-bit quantization specification has it.
    """

    def samples() -> Iterator[list[npt.NDArray[np.float32]]]:
        full_range = representative[0].copy()
        full_range.flat[:2] = 0, 255
        for image in (full_range, *representative):
            yield [image[None, :, :, None].astype(np.float32)]

    one_face = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="grey")
    fixed = keras.Model(one_face, model(one_face))
    try:
        with quiet():
            content = _convert(fixed, samples)
    except Exception as error:
        raise ModelError(f"cannot be converted to int8: {_reason(error)}") from error
    refuse_float(content)
    return content


def _convert(model: keras.Model, samples: Callable[[], Iterator[list[npt.NDArray[np.float32]]]]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def refuse_float(content: bytes) -> None:
    """Raise ModelError, by name, if tensors of a TFLite model are not of whole numbers."""
    tensors = open_interpreter(content).get_tensor_details()
    left = [tensor["name"] for tensor in tensors if tensor["dtype"] not in _WHOLE_NUMBERS]
    telling = [name for name in left if not name.startswith(_BRIDGES)] or left
    if telling:
        raise ModelError(f"{', '.join(telling[:3])} stayed float: no int8 kernel for the operation")


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "not supported" in line or "quantiz" in line.lower()]
    return (telling or lines or [type(error).__name__])[0][:200]
