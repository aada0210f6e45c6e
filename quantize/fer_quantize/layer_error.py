"""Find the layer that loses most by int8: compare float and int8 activations, operation by operation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from fer_quantize.convert import convert, samples
from fer_train.evaluation.tflite import feed

_BRIDGES = {"QUANTIZE", "DEQUANTIZE", "DELEGATE"}


@dataclass(frozen=True, slots=True)
class LayerError:
    """How much an operation's int8 output differs from its float output.

    Attributes:
        index: position among the operations.
        operation: TFLite's name of the operation.
        layer: the Keras layer.
        sqnr_db: signal to quantization noise ratio, decibels: 10 log10(mean float^2 / mean difference^2).
        added_db: noise that this operation adds: how far its ratio is below the worst one of its inputs.
    """

    index: int
    operation: str
    layer: str
    sqnr_db: float
    added_db: float


def layer_errors(
    model: keras.Model, representative: npt.NDArray[np.uint8], faces: npt.NDArray[np.uint8]
) -> list[LayerError]:
    """Compare all operations' outputs on faces of shape (N, H, W); ranges are set by the representative faces."""
    plain, names = with_plain_names(model)
    before, after = (Trace(convert(plain, representative, mode)) for mode in ("float32", "int8"))
    signal = np.zeros(len(before.operations))
    noise = np.zeros(len(before.operations))
    for (sample,) in samples(faces, model.input_shape[1:]):
        pairs = zip(before.outputs(sample), after.outputs(sample), strict=True)
        for index, (exact, coarse) in enumerate(pairs):
            signal[index] += float(np.mean(exact**2))
            noise[index] += float(np.mean((exact - coarse) ** 2))
    quality = 10 * np.log10(np.maximum(signal, 1e-12) / np.maximum(noise, 1e-12))
    made_by = {operation["outputs"][0]: index for index, operation in enumerate(before.operations)}
    errors = []
    for index, operation in enumerate(before.operations):
        fed = [quality[made_by[tensor]] for tensor in operation["inputs"] if tensor in made_by]
        errors.append(
            LayerError(
                index=index,
                operation=operation["op_name"],
                layer=layer_of(before.name(operation), names),
                sqnr_db=round(float(quality[index]), 1),
                added_db=round(float(min(fed) - quality[index]), 1) if fed else 0.0,
            )
        )
    return errors


def with_plain_names(model: keras.Model) -> tuple[keras.Model, dict[str, str]]:
    """Copy a model with unambiguous layer names, since the converter appends numbers to names.

    Returns:
        The copy, and a map from each original layer name to the new one.
    """
    names = {layer.name: f"layer{index}x" for index, layer in enumerate(model.layers)}

    def rename(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config({**layer.get_config(), "name": names[layer.name]})

    copy = keras.models.clone_model(model, clone_function=rename)
    copy.set_weights(model.get_weights())
    return copy, names


def layer_of(tensor: str, names: dict[str, str]) -> str:
    """The original layer whose plain name is part of a tensor's name; the tensor's own name if there is none."""
    originals = {plain: original for original, plain in names.items()}
    found = [part for part in re.findall(r"layer\d+x", tensor) if part in originals]
    return originals[found[0]] if found else tensor


class Trace:
    """A TFLite model that keeps every activation, so that it can be read after a pass."""

    def __init__(self, content: bytes) -> None:
        self._interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        # No public function lists the operations. TensorFlow's own quantization debugger uses this private one too.
        details = self._interpreter._get_ops_details()
        self.operations: list[dict[str, Any]] = [
            operation for operation in details if operation["op_name"] not in _BRIDGES
        ]
        self._tensors = {tensor["index"]: tensor for tensor in self._interpreter.get_tensor_details()}

    def name(self, operation: dict[str, Any]) -> str:
        """The name of an operation's output."""
        return str(self._tensors[operation["outputs"][0]]["name"])

    def outputs(self, sample: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float64]]:
        """Run on one input, shape (1, H, W, C) of grey levels; return each operation's output, dequantized."""
        feed(self._interpreter, sample[0, :, :, 0].astype(np.uint8))
        self._interpreter.invoke()
        return [self._real(operation["outputs"][0]) for operation in self.operations]

    def activations(self, sample: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float64]]:
        """Run on one input; return the outputs and the input itself by tensor name."""
        made = self.outputs(sample)
        named = {self.name(operation): values for operation, values in zip(self.operations, made, strict=True)}
        return {str(self._interpreter.get_input_details()[0]["name"]): sample.astype(np.float64), **named}

    def _real(self, index: int) -> npt.NDArray[np.float64]:
        scale, zero_point = self._tensors[index]["quantization"]
        levels = self._interpreter.get_tensor(index).astype(np.float64)
        return np.asarray((levels - zero_point) * scale if scale else levels, np.float64)
