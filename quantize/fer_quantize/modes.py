"""Compare the ways to convert a model: size, accuracy and latency of each mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.model.interpreter import open_interpreter
from fer_quantize.check import Cost, Scores, cost
from fer_quantize.convert import Mode, convert
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import Interval, accuracy_interval
from fer_train.evaluation.tflite import answers


@dataclass(frozen=True, slots=True)
class ModeResult:
    """One mode: accuracy as a fraction, 0..1, with its 95 % confidence interval."""

    mode: Mode
    accuracy: float
    interval: Interval
    cost: Cost


def compare_modes(
    model: keras.Model, representative: npt.NDArray[np.uint8], faces: LabelledFaces, modes: Sequence[Mode]
) -> list[ModeResult]:
    """Convert and measure each mode on the same faces, one after the other."""
    return [_measure(mode, convert(model, representative, mode), faces) for mode in modes]


def predict_tflite(content: bytes, images: npt.NDArray[np.uint8]) -> Scores:
    """Raw outputs of a TFLite model, shape (N, C), not dequantized, for faces of shape (N, H, W)."""
    return answers(open_interpreter(content), images).astype(np.float32)


def _measure(mode: Mode, content: bytes, faces: LabelledFaces) -> ModeResult:
    right = predict_tflite(content, faces.images).argmax(axis=1) == faces.classes
    return ModeResult(mode, float(right.mean()), accuracy_interval(right), cost(content, faces.images))
