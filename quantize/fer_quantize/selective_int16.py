"""Selective quantization: 16-bit activations in layers that lose too much by int8, int8 everywhere else.

AI Edge Quantizer does it. It works on the float TFLite model, so with any Keras. (TensorFlow's own toolkit for
quantization-aware training needs Keras 2, and its converter offers 16-bit activations only for a whole model.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError, closest
from fer_edge.silence import quiet
from fer_quantize.convert import convert, refuse_float, samples
from fer_quantize.layer_error import Trace, layer_of, with_plain_names


def to_mixed(model: keras.Model, representative: npt.NDArray[np.uint8], int16_layers: Sequence[str]) -> bytes:
    """Convert a model to int8, with 16-bit activations at the inputs and outputs of the named Keras layers.

    Args:
        model: as in `convert`.
        representative: faces that set the ranges, shape (N, H, W), uint8.
        int16_layers: names as `fer-quantize --layers` prints them.

    Returns:
        The content of a `.tflite` file; input and output are int8.

    Raises:
        ModelError: there is no such layer, or a tensor stayed in float.
    """
    plain, names = with_plain_names(model)
    content = convert(plain, representative, "float32")
    trace = Trace(content)
    known = names.keys() & {layer_of(trace.name(operation), names) for operation in trace.operations}
    for layer in int16_layers:
        if layer not in known:
            meant = closest(layer, known)
            hint = f"Did you mean {meant}?" if meant else "--layers lists them"
            raise ModelError(f"no layer '{layer}' in the converted model. {hint}")
    with quiet():
        mixed = _quantize(
            content,
            trace,
            list(samples(representative, model.input_shape[1:])),
            [names[layer] for layer in int16_layers],
        )
    refuse_float(mixed)
    return mixed


def _quantize(
    content: bytes, trace: Trace, inputs: Sequence[list[npt.NDArray[np.float32]]], plain_names: Sequence[str]
) -> bytes:
    from ai_edge_quantizer import qtyping, quantizer  # noqa: PLC0415 - slow to load, and rarely needed

    every = qtyping.TFLOperationName.ALL_SUPPORTED
    aeq = quantizer.Quantizer(content)
    aeq.add_static_config(".*", every, activation_num_bits=8, weight_num_bits=8)
    for layer in plain_names:
        aeq.add_static_config(rf"/{layer}(_\d+)?/", every, activation_num_bits=16, weight_num_bits=8)
    ranges = aeq.calibrate({"serving_default": [{"grey": sample} for (sample,) in inputs[:2]]})
    return bytes(aeq.quantize(_widest(ranges, trace, inputs)).quantized_model)


def _widest(ranges: dict[str, Any], trace: Trace, inputs: Sequence[list[npt.NDArray[np.float32]]]) -> dict[str, Any]:
    """Replace the tool's ranges, running means that clip extremes, by the smallest and largest values seen."""
    seen: dict[str, tuple[float, float]] = {}
    for (sample,) in inputs:
        for name, values in trace.activations(sample).items():
            low, high = seen.get(name, (np.inf, -np.inf))
            seen[name] = min(low, float(values.min())), max(high, float(values.max()))
    return {
        name: {key: np.full_like(value, seen[name][key == "max"]) for key, value in statistics.items()}
        if name in seen
        else statistics
        for name, statistics in ranges.items()
    }
