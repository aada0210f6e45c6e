"""Golden faces for a bundle: the outputs of the two families of int8 kernels for the composite faces."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from fer_edge.assets.composites import load_composites
from fer_train.evaluation.tflite import answers

# LiteRT's fast kernels (XNNPACK) round differently from the built-in ones, which tflite-runtime uses.
_FAMILIES = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def golden_faces(model: bytes) -> bytes:
    """Return the content of `golden.npz`; `fer_edge.model.golden` reads it.

    Args:
        model: the content of an int8 `.tflite` file.
    """
    faces = np.array(list(load_composites().values()))
    content = io.BytesIO()
    np.savez(content, inputs=faces, outputs=np.array([_read(model, faces, family) for family in _FAMILIES]))
    return content.getvalue()


def _read(model: bytes, faces: npt.NDArray[np.uint8], family: OpResolverType) -> npt.NDArray[np.int8]:
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=family)
    interpreter.allocate_tensors()
    return np.asarray(answers(interpreter, faces), np.int8)
