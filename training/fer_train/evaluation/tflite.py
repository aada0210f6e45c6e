"""Run a TFLite model on grey faces, with any input and output types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_edge.model.interpreter import Interpreter
from fer_train.model_input import model_input


def feed(interpreter: Interpreter, face: npt.NDArray[np.uint8]) -> None:
    """Set the input to a face of shape (H, W), scaled to it. A quantized input must have scale 1: grey levels."""
    entry = interpreter.get_input_details()[0]
    levels = model_input(face[None], entry["shape"][1:]).astype(np.int32) + entry["quantization"][1]
    interpreter.set_tensor(entry["index"], levels.astype(entry["dtype"]))


def answers(interpreter: Interpreter, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
    """Return the raw outputs, shape (N, C), for faces of shape (N, H, W)."""
    output = interpreter.get_output_details()[0]["index"]
    rows = []
    for face in faces:
        feed(interpreter, face)
        interpreter.invoke()
        rows.append(interpreter.get_tensor(output)[0])
    return np.array(rows)


def real_answers(interpreter: Interpreter, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the outputs as real numbers, shape (N, C): quantized ones are dequantized."""
    scale, zero_point = interpreter.get_output_details()[0]["quantization"]
    values = answers(interpreter, faces).astype(np.float32)
    return (values - zero_point) * scale if scale else values
