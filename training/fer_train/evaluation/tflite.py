"""Run any TFLite model that eats a grey face, whatever its types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_edge.model.interpreter import Interpreter


def feed(interpreter: Interpreter, face: npt.NDArray[np.uint8]) -> None:
    """Set the input to a face of shape (H, W). The input's scale is 1 where it is quantized: that of grey levels."""
    entry = interpreter.get_input_details()[0]
    levels = face[None, :, :, None].astype(np.int32) + entry["quantization"][1]
    interpreter.set_tensor(entry["index"], levels.astype(entry["dtype"]))


def answers(interpreter: Interpreter, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
    """Return what the model answers, as it is, shape (N, C), to faces of shape (N, H, W)."""
    output = interpreter.get_output_details()[0]["index"]
    rows = []
    for face in faces:
        feed(interpreter, face)
        interpreter.invoke()
        rows.append(interpreter.get_tensor(output)[0])
    return np.array(rows)


def real_answers(interpreter: Interpreter, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return what the answers stand for, shape (N, C): whole numbers times their scale, floats as they are."""
    scale, zero_point = interpreter.get_output_details()[0]["quantization"]
    values = answers(interpreter, faces).astype(np.float32)
    return (values - zero_point) * scale if scale else values
