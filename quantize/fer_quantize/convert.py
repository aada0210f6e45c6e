"""Convert a Keras model to TFLite: full int8 for devices, other modes for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fer_edge.errors import ConfigError, ModelError, choose
from fer_edge.model.interpreter import open_interpreter
from fer_edge.silence import quiet
from fer_quantize.child_process import ChildProcess
from fer_quantize.elu import with_int8_elu
from fer_train.model_input import model_input

Mode = Literal["int8", "int16x8", "float16", "dynamic", "float32"]
MODES: tuple[Mode, ...] = ("int8", "int16x8", "float16", "dynamic", "float32")

# A full-int8 model holds only these types: int32 and int64 hold biases and shapes.
_WHOLE_NUMBERS = (np.int8, np.int16, np.int32, np.int64)
# The converter puts these operations before and after an operation that stays in float.
_BRIDGES = ("tfl.quantize", "tfl.dequantize")

# The process that converts, while there is one.
_child: ChildProcess | None = None


def parse_modes(names: list[str]) -> list[Mode]:
    """Return modes by name; `all` means every mode. Raises ConfigError for an unknown name."""
    unknown = [name for name in names if name not in {*MODES, "all"}]
    if unknown:
        raise ConfigError(f"--mode {unknown[0]}: is unknown. {choose(unknown[0], (*MODES, 'all'))}")
    return [mode for mode in MODES if mode in names or "all" in names]


def to_int8(model: keras.Model, representative: npt.NDArray[np.uint8]) -> bytes:
    """Convert a model to int8 throughout; see `convert`.

    Raises:
        ModelError: it cannot be converted, or a tensor stayed in float. The message names the tensor.
    """
    content = convert(model, representative, "int8")
    refuse_float(content)
    return content


@contextmanager
def separate_converter() -> Iterator[ChildProcess]:
    """Let `convert` work in a process of its own meanwhile: odd models make TensorFlow's native code abort.

    Enter before TensorFlow computes anything.
    """
    global _child  # noqa: PLW0603 - one command, one converter
    with closing(ChildProcess(_convert_file)) as _child:
        try:
            yield _child
        finally:
            _child = None


def convert(model: keras.Model, representative: npt.NDArray[np.uint8], mode: Mode) -> bytes:
    """Convert a model to TFLite.

    In `int8`, weights (per channel), activations, input and output are int8, by the scheme of Jacob et al., 2018
    (arXiv:1712.05877) and the LiteRT 8-bit quantization specification. The input's range is that of a grey image, so
    its scale is 1 and its zero point -128. `int16x8` has 16-bit activations; `float16` and `dynamic` quantize weights
    only.

    Args:
        model: input (N, H, W, 1 or 3) of levels 0..255, output (N, C) of probabilities.
        representative: faces that set the ranges, shape (N, H, W), uint8; not used by the last three modes.
        mode: the mode.

    Returns:
        The content of a `.tflite` file with batch size 1.

    Raises:
        ModelError: the converter refuses the model, or dies of it.
    """
    try:
        if _child is None:
            with quiet():
                return _convert(model, representative, mode)
        with TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            model.save(path)
            return bytes(_child.call(path, representative, mode))
    except ModelError as error:
        raise ModelError(f"cannot be converted to {mode}: {error}") from error


def _convert_file(path: Path, representative: npt.NDArray[np.uint8], mode: Mode) -> bytes:
    return _convert(keras.saving.load_model(path, compile=False), representative, mode)


def _convert(model: keras.Model, representative: npt.NDArray[np.uint8], mode: Mode) -> bytes:
    one_face = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="grey")
    fixed = keras.Model(one_face, with_int8_elu(model)(one_face))
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    if mode != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode in {"int8", "int16x8"}:
        converter.representative_dataset = lambda: samples(representative, model.input_shape[1:])
    if mode == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    if mode == "int16x8":
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    try:
        return bytes(converter.convert())
    except Exception as error:
        raise ModelError(_reason(error)) from error


def samples(representative: npt.NDArray[np.uint8], shape: Sequence[int]) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Yield inputs of a model, shape (1, *shape): one face with the full range of grey levels, then the faces."""
    faces = model_input(representative, shape)
    full_range = faces[0].copy()
    full_range.flat[:2] = 0, 255
    for image in (full_range, *faces):
        yield [image[None].astype(np.float32)]


def refuse_float(content: bytes) -> None:
    """Raise ModelError if a TFLite model has float tensors. The message names them."""
    tensors = open_interpreter(content).get_tensor_details()
    left = [tensor["name"] for tensor in tensors if tensor["dtype"] not in _WHOLE_NUMBERS]
    telling = [name for name in left if not name.startswith(_BRIDGES)] or left
    if telling:
        raise ModelError(f"{', '.join(telling[:3])} stayed float: no int8 kernel for the operation")


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "not supported" in line or "quantiz" in line.lower()]
    return (telling or lines or [type(error).__name__])[0][:200]
