"""Well-known compact families, at the size of a 48-pixel face."""

from __future__ import annotations

import keras
from keras import layers

from fer_train.architectures.edge import residual_block
from fer_train.architectures.parts import classify, conv, depthwise, grey_input


def mini_xception(classes: int, dropout: float = 0.0) -> keras.Model:
    """Two 3x3 convolutions, four residual modules of separable convolutions; the classes are averaged over the picture.

    Arriaga et al. describe it (arXiv:1710.07557). Here every layer has padding, and a dense layer replaces their
    pooling of class maps, which gives the same sum.
    """
    inputs, x = grey_input()
    x = conv(conv(x, 8), 8)
    for filters in (16, 32, 64, 128):
        # Take every other pixel first. With the stride in the convolution (8 to 16 channels), TensorFlow 2.21 with
        # oneDNN writes beyond its memory in the gradient ("corrupted size vs. prev_size").
        shortcut = conv(layers.MaxPooling2D(1, 2)(x), filters, 1, relu=False)
        x = conv(depthwise(x, relu=False), filters, 1)
        x = conv(depthwise(x, relu=False), filters, 1, relu=False)
        x = layers.Add()([layers.MaxPooling2D(3, 2, padding="same")(x), shortcut])
    x = layers.GlobalAveragePooling2D()(x)
    return classify(inputs, layers.Dropout(dropout)(x), classes, "mini_xception")


def mobile(classes: int, dropout: float = 0.2) -> keras.Model:
    """Inverted residuals with linear bottlenecks (MobileNetV2: Sandler et al., arXiv:1801.04381), expanded 4x."""
    inputs, x = grey_input()
    x = conv(x, 24, stride=2)
    for filters, stride, blocks in ((24, 1, 1), (32, 2, 2), (64, 2, 3), (96, 2, 2)):
        for block in range(blocks):
            x = _inverted_residual(x, filters, stride if block == 0 else 1)
    x = layers.GlobalAveragePooling2D()(conv(x, 384, 1))
    return classify(inputs, layers.Dropout(dropout)(x), classes, "mobile")


def resnet(classes: int, dropout: float = 0.4, width: int = 32) -> keras.Model:
    """A residual network (He et al., arXiv:1512.03385), one block at each of 48, 24, 12 and 6 pixels: a teacher."""
    inputs, x = grey_input()
    x = conv(x, width)
    for stage in range(4):
        x = residual_block(x, width * 2**stage, 1 if stage == 0 else 2, name=f"stage{stage + 1}")
    x = layers.GlobalAveragePooling2D()(x)
    return classify(inputs, layers.Dropout(dropout)(x), classes, "resnet")


def _inverted_residual(x: keras.KerasTensor, filters: int, stride: int) -> keras.KerasTensor:
    wide = depthwise(conv(x, 4 * x.shape[-1], 1), stride)
    narrow = conv(wide, filters, 1, relu=False)
    return layers.Add()([x, narrow]) if stride == 1 and x.shape[-1] == filters else narrow
