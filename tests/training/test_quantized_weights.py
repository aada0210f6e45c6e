"""Weights in TensorFlow.js' format: bytes that are scaled, or floats, one after the other."""

import json
from typing import Any

import numpy as np
import pytest

from fer_edge.errors import ModelError
from fer_train.pretrained.quantized_weights import read_weights


def weight(name: str, *shape: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "dtype": "float32", **more}


def manifest(*groups: list[dict[str, Any]]) -> bytes:
    return json.dumps([{"weights": group} for group in groups]).encode()


def test_bytes_are_scaled_and_floats_read_as_they_follow_one_another() -> None:
    steps = {"quantization": {"dtype": "uint8", "scale": 0.5, "min": -3.0}}
    described = manifest([weight("steps", 2, 3, **steps), weight("floats", 2)], [weight("one"), weight("last", 1)])
    content = bytes([0, 1, 2, 10, 200, 255]) + np.array([1.5, -2.5, 7, 8], "<f4").tobytes()
    found = read_weights(described, content)
    assert list(found) == ["steps", "floats", "one", "last"]
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}
    assert found["steps"].tolist() == [[-3, -2.5, -2], [2, 97, 124.5]]
    assert (found["floats"].tolist(), found["one"].tolist(), found["last"].tolist()) == ([1.5, -2.5], 7, [8])


@pytest.mark.parametrize("missing", [1, -1])
def test_content_of_another_length_is_told_with_both(missing: int) -> None:
    with pytest.raises(ModelError) as refused:
        read_weights(manifest([weight("a", 3), weight("b", 2, 2)]), bytes(28 - missing))
    assert str(refused.value) == f"the weights have {28 - missing} bytes, not 28 as their manifest says"


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ([weight("a", 1, dtype="int32")], "Input should be 'float32'"),
        ([weight("a", quantization={"dtype": "uint16", "scale": 1, "min": 0})], "Input should be 'uint8'"),
        (
            [weight("a", quantization={"dtype": "uint8", "scale": float("inf"), "min": 0})],
            "Input should be a finite number",
        ),
        (
            [weight("a", quantization={"dtype": "uint8", "scale": 1, "min": float("nan")})],
            "Input should be a finite number",
        ),
        ([{"name": "a", "shape": [1]}], "Field required"),
    ],
)
def test_a_manifest_that_says_something_else_is_malformed(described: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ModelError) as refused:
        read_weights(manifest(described), b"")
    assert str(refused.value) == f"the manifest of the weights is malformed ({told})"
