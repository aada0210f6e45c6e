"""Read weights as TensorFlow.js stores them: a manifest in JSON, and one file of bytes."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fer_edge.errors import ModelError

Floats = npt.NDArray[np.float32]


class _Quantization(BaseModel):
    dtype: Literal["uint8"]
    scale: float = Field(allow_inf_nan=False)
    min: float = Field(allow_inf_nan=False)


class _Weight(BaseModel):
    name: str
    shape: list[int]
    dtype: Literal["float32"]
    quantization: _Quantization | None = None


class _Group(BaseModel):
    weights: list[_Weight]


def read_weights(manifest: bytes, content: bytes) -> dict[str, Floats]:
    """Read all weights, by name.

    A quantized weight is a byte per value: value = byte x scale + min. Others are float32, little-endian. They follow
    one another in the manifest's order.

    Raises:
        ModelError: the manifest is malformed, or the content has another length than it says.
    """
    try:
        groups = TypeAdapter(list[_Group]).validate_json(manifest)
    except ValidationError as error:
        raise ModelError(f"the manifest of the weights is malformed ({error.errors()[0]['msg']})") from error
    described = [weight for group in groups for weight in group.weights]
    sizes = [math.prod(weight.shape) * (1 if weight.quantization else 4) for weight in described]
    if sum(sizes) != len(content):
        raise ModelError(f"the weights have {len(content)} bytes, not {sum(sizes)} as their manifest says")
    starts = np.cumsum([0, *sizes])
    return {
        weight.name: _values(weight, content[start : start + size])
        for weight, start, size in zip(described, starts, sizes, strict=False)
    }


def _values(weight: _Weight, content: bytes) -> Floats:
    if weight.quantization is None:
        return np.frombuffer(content, "<f4").reshape(weight.shape)
    steps = np.frombuffer(content, np.uint8).reshape(weight.shape)
    return (steps * weight.quantization.scale + weight.quantization.min).astype(np.float32)
