"""The network. Only operations that TFLite runs in int8; raw grey bytes in, probabilities out."""

from __future__ import annotations

import keras
from keras import layers

from fer_edge.preprocess import MODEL_SIZE


def edge_net(
    classes: int,
    widths: tuple[int, ...] = (32, 64, 128, 192),
    depths: tuple[int, ...] = (1, 2, 2, 1),
    stem: int = 16,
    dropout: float = 0.2,
) -> keras.Model:
    """A small residual network (He et al., 2015, arXiv:1512.03385) at 24, 12, 6 and 3 pixels.

    Hardly any work is done at 48 pixels, where it costs most; there is no bias before a batch norm.

    Input: (N, 48, 48, 1), grey levels 0..255. Output: (N, classes), float32 probabilities.

    Args:
        classes: how many it tells apart.
        widths: channels of each stage.
        depths: residual blocks of each stage.
        stem: channels of the only convolution at full size.
        dropout: share of features left out while training, before the last layer.
    """
    inputs = keras.Input((MODEL_SIZE, MODEL_SIZE, 1), name="grey")
    x = layers.Rescaling(1 / 255)(inputs)
    x = _conv(x, stem, 3, name="stem1")
    x = _conv(x, widths[0], 3, stride=2, name="stem2")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _residual_block(x, width, stride, name=f"stage{stage + 1}_block{block + 1}")
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="edge_net")


def count_macs(model: keras.Model) -> int:
    """Multiply-accumulates of one forward pass: convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            _, height, width, channels = layer.output.shape
            total += height * width * channels * layer.kernel.shape[0] * layer.kernel.shape[1] * layer.kernel.shape[2]
        elif isinstance(layer, layers.DepthwiseConv2D):
            _, height, width, channels = layer.output.shape
            total += height * width * channels * layer.kernel.shape[0] * layer.kernel.shape[1]
        elif isinstance(layer, layers.Dense):
            total += layer.kernel.shape[0] * layer.kernel.shape[1]
    return int(total)


def _conv(
    x: keras.KerasTensor, filters: int, size: int, stride: int = 1, *, relu: bool = True, name: str
) -> keras.KerasTensor:
    x = layers.Conv2D(
        filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _residual_block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = _conv(x, filters, 1, stride, relu=False, name=f"{name}_shortcut")
    x = _conv(x, filters, 3, stride, name=f"{name}_first")
    x = _conv(x, filters, 3, relu=False, name=f"{name}_second")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))
