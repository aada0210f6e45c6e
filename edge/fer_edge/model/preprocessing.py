"""What a model wants to see, and what its outputs mean: the part of `model.json` that a foreign model needs."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fer_edge.types import Probabilities

Colour = Literal["grey", "rgb", "bgr"]
Outputs = Literal["probabilities", "logits"]

# Probabilities may differ from a sum of one by this much.
_ROUNDING = 0.03


class Preprocessing(BaseModel):
    """From a crop to the model's input, and from its output to probabilities. The defaults are those of our models."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    colour: Colour = "grey"
    """Colour of the crop. A grey crop is repeated for a model with three channels."""
    mean: tuple[float, ...] = Field((0.0,), min_length=1, max_length=3)
    """The input is (level - mean) / scale, with levels 0..255; one number, or one per channel."""
    scale: tuple[float, ...] = Field((1.0,), min_length=1, max_length=3)
    outputs: Outputs = "probabilities"
    """`logits` need a softmax."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if 2 in {len(self.mean), len(self.scale)}:
            raise ValueError("mean and scale: give one number, or one per channel")
        if min(self.scale) <= 0:
            raise ValueError("scale: must be greater than 0")
        return self


def input_table(
    preprocessing: Preprocessing, channels: int, dtype: type[np.generic], quantization: tuple[float, int]
) -> npt.NDArray[Any]:
    """The model's input for each level and channel: shape (256, channels), in the dtype of the model's input.

    Args:
        preprocessing: mean and scale.
        channels: of the model's input, 1 or 3.
        dtype: int8, uint8 or float32.
        quantization: scale and zero point of a quantized input; not used for float.
    """
    levels = np.arange(256, dtype=np.float64)[:, None]
    values = np.broadcast_to((levels - preprocessing.mean) / np.array(preprocessing.scale), (256, channels))
    if not np.issubdtype(dtype, np.integer):
        return np.asarray(values, dtype)
    scale, zero_point = quantization
    limits = np.iinfo(np.dtype(dtype))
    levels = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return np.asarray(levels, dtype)


def real_outputs(outputs: npt.NDArray[Any], quantization: tuple[float, int]) -> npt.NDArray[np.float32]:
    """A model's outputs as real numbers; scale and zero point are those of a quantized output, else (0, 0)."""
    scale, zero_point = quantization
    values = outputs.astype(np.float32)
    return np.asarray((values - zero_point) * scale if scale else values, np.float32)


def kind_of_outputs(values: npt.NDArray[np.float32]) -> Outputs | None:
    """What a model's outputs for some faces are, shape (N, C); None if that cannot be told."""
    if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        return "logits"
    return "probabilities" if np.allclose(values.sum(axis=1), 1, atol=_ROUNDING) else None


def to_probabilities(values: npt.NDArray[np.float32], outputs: Outputs) -> Probabilities:
    """Probabilities of real outputs, shape (..., C): softmax of logits, else what is not negative. Not normalised."""
    if outputs == "probabilities":
        return np.maximum(values, 0)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
