"""Our own network: only operations that TFLite runs in int8, and little work at full resolution."""

from __future__ import annotations

import keras
from keras import layers

from fer_train.architectures.parts import classify, conv, grey_input


def edge_net(
    classes: int,
    widths: tuple[int, ...] = (32, 64, 128, 192),
    depths: tuple[int, ...] = (1, 2, 2, 1),
    stem: int = 16,
    dropout: float = 0.2,
) -> keras.Model:
    """A small residual network (He et al., 2015, arXiv:1512.03385) at 24, 12, 6 and 3 pixels.

    Only one small convolution runs at 48 pixels, where work is most expensive. No layer before a batch norm has a bias.

    Input: (N, 48, 48, 1), grey levels 0..255. Output: (N, classes), float32 probabilities.

    Args:
        classes: number of classes.
        widths: channels per stage.
        depths: residual blocks per stage.
        stem: channels of the only convolution at full size.
        dropout: dropout rate before the last layer.
    """
    inputs, x = grey_input()
    x = conv(x, stem, 3, name="stem1")
    x = conv(x, widths[0], 3, stride=2, name="stem2")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            x = residual_block(x, width, stride, name=f"stage{stage + 1}_block{block + 1}")
    x = layers.GlobalAveragePooling2D()(x)
    return classify(inputs, layers.Dropout(dropout)(x), classes, "edge_net")


def residual_block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    """Two 3x3 convolutions beside a shortcut."""
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = conv(x, filters, 1, stride, relu=False, name=f"{name}_shortcut")
    x = conv(x, filters, 3, stride, name=f"{name}_first")
    x = conv(x, filters, 3, relu=False, name=f"{name}_second")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))
