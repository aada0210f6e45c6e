"""TFLite models for tests that need other kinds than ours: they answer with the mean of each channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def mean_model(
    shape: tuple[int, ...] = (1, 40, 40, 3),
    dtype: str = "FLOAT32",
    quantization: tuple[float, int] | None = None,
    *,
    outputs: int = 1,
) -> bytes:
    """The content of a `.tflite` file.

    Args:
        shape: of its input.
        dtype: of its input and its outputs, as TFLite names it.
        quantization: step and zero point of both, if they are integers.
        outputs: how many there are, all the same.
    """
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers: Any = pytest.importorskip("flatbuffers")

    def tensor(name: str, of_shape: tuple[int, ...], of_type: str, buffer: int = 0) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = (
            name,
            list(of_shape),
            getattr(schema.TensorType, of_type),
            buffer,
        )
        if quantization and of_type != "INT32":
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [quantization[0]], [quantization[1]]
        return made

    def mean(index: int) -> Any:
        made = schema.OperatorT()
        made.inputs, made.outputs = [0, 1], [index]
        made.builtinOptionsType, made.builtinOptions = schema.BuiltinOptions.ReducerOptions, schema.ReducerOptionsT()
        return made

    sides = np.array([axis for axis in range(1, 4) if axis != np.argmin(shape[1:]) + 1], np.int32)
    graph, code, model = schema.SubGraphT(), schema.OperatorCodeT(), schema.ModelT()
    places = [2 + index for index in range(outputs)]
    graph.tensors = [tensor("image", shape, dtype), tensor("sides", (2,), "INT32", 1)]
    graph.tensors += [tensor(f"mean{index}", (1, min(shape[1:])), dtype) for index in places]
    graph.inputs, graph.outputs, graph.operators = [0], places, [mean(index) for index in places]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.MEAN
    constant = schema.BufferT()
    constant.data = np.frombuffer(sides.tobytes(), np.uint8)
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT(), constant]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
