"""Common parts of the architectures: the input of grey levels, the softmax head, and blocks."""

from __future__ import annotations

import keras
from keras import layers

from fer_edge.preprocess import MODEL_SIZE

# This is the name of every architecture's last layer.
HEAD = "probabilities"


def grey_input() -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input, (N, 48, 48, 1) grey levels 0..255, and the same scaled to 0..1."""
    inputs = keras.Input((MODEL_SIZE, MODEL_SIZE, 1), name="grey")
    return inputs, layers.Rescaling(1 / 255)(inputs)


def classify(inputs: keras.KerasTensor, features: keras.KerasTensor, classes: int, name: str) -> keras.Model:
    """Add the dense softmax layer, in float32 also when the rest uses a lower precision."""
    outputs = layers.Dense(classes, activation="softmax", dtype="float32", name=HEAD)(features)
    return keras.Model(inputs, outputs, name=name)


def conv(
    x: keras.KerasTensor,
    filters: int,
    size: int = 3,
    stride: int = 1,
    *,
    relu: bool = True,
    name: str | None = None,
) -> keras.KerasTensor:
    """Convolution without bias, batch norm and, by default, ReLU."""
    x = layers.Conv2D(
        filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=_part(name, "conv")
    )(x)
    return _norm(x, relu=relu, name=name)


def depthwise(x: keras.KerasTensor, stride: int = 1, *, relu: bool = True) -> keras.KerasTensor:
    """3x3 depthwise convolution, batch norm and, by default, ReLU."""
    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, depthwise_initializer="he_normal")(x)
    return _norm(x, relu=relu, name=None)


def _norm(x: keras.KerasTensor, *, relu: bool, name: str | None) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=0.9, name=_part(name, "norm"))(x)
    return layers.ReLU(name=_part(name, "relu"))(x) if relu else x


def _part(name: str | None, part: str) -> str | None:
    return f"{name}_{part}" if name else None
