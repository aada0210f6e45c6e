"""The residual network of dlib that recognises people, whose published weights have seen three million faces."""

from __future__ import annotations

import keras
from keras import layers, ops

from fer_edge.preprocess import MODEL_SIZE
from fer_train.architectures.parts import classify

# Residual blocks: name, channels in multiples of the width, and whether the block halves the side.
BLOCKS: tuple[tuple[str, int, bool], ...] = (
    ("32_1", 1, False),
    ("32_2", 1, False),
    ("32_3", 1, False),
    ("64_down", 2, True),
    ("64_1", 2, False),
    ("64_2", 2, False),
    ("64_3", 2, False),
    ("128_down", 4, True),
    ("128_1", 4, False),
    ("128_2", 4, False),
    ("256_down", 8, True),
    ("256_1", 8, False),
    ("256_2", 8, False),
    ("256_down_out", 8, True),
)
# The network subtracts these levels of red, green and blue, then divides by SCALE.
CHANNEL_MEANS = (122.782, 117.001, 104.298)
SCALE = 256.0
GREY_MEAN = sum(CHANNEL_MEANS) / 3


def face_resnet(classes: int, dropout: float = 0.3, side: int = 112, width: int = 32) -> keras.Model:
    """ResNet-29 as in dlib's face recognition (He et al., arXiv:1512.03385, with fewer layers and filters).

    It differs in two ways. The scale layers after the convolutions are batch norms again, so that it can be trained.
    The first convolution takes one grey channel: on equal channels the sum of its filters computes the same.

    Input: (N, 48, 48, 1), grey levels 0..255; they are enlarged to `side`. Output: (N, classes), float32 probabilities.

    Args:
        classes: number of classes.
        dropout: dropout rate before the last layer.
        side: pixels of the enlarged face; dlib uses 150.
        width: channels of the first stage.
    """
    inputs = keras.Input((MODEL_SIZE, MODEL_SIZE, 1), name="grey")
    # In float32 also when the rest uses a lower precision, which has too few steps for grey levels.
    x = layers.Resizing(side, side, interpolation="bilinear", dtype="float32")(inputs)
    x = layers.Rescaling(1 / SCALE, offset=-GREY_MEAN / SCALE)(x)
    x = layers.ReLU(name="stem_relu")(_conv(x, width, 7, stride=2, name="stem"))
    x = layers.MaxPooling2D(3, 2)(x)
    for name, factor, halves in BLOCKS:
        x = _block(x, factor * width, f"block{name}", halves=halves)
    x = layers.GlobalAveragePooling2D()(x)
    return classify(inputs, layers.Dropout(dropout)(x), classes, "face_resnet")


def _block(x: keras.KerasTensor, filters: int, name: str, *, halves: bool) -> keras.KerasTensor:
    """Two 3x3 convolutions beside a shortcut without weights."""
    y = _conv(x, filters, 3, stride=2 if halves else 1, name=f"{name}_first")
    y = _conv(layers.ReLU(name=f"{name}_first_relu")(y), filters, 3, stride=1, name=f"{name}_second")
    if halves:
        x = layers.AveragePooling2D(2)(x)
        missing_rows, missing_columns = (x.shape[axis] - y.shape[axis] for axis in (1, 2))
        y = layers.ZeroPadding2D(((0, missing_rows), (0, missing_columns)))(y)
    if missing_channels := filters - x.shape[-1]:
        x = ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, missing_channels)))
    return layers.ReLU(name=f"{name}_relu")(layers.Add()([x, y]))


def _conv(x: keras.KerasTensor, filters: int, size: int, *, stride: int, name: str) -> keras.KerasTensor:
    """Convolution without bias, and batch norm; no padding where it halves the side."""
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(
        filters, size, stride, padding, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    # The published filters are small, and so are the variances after them.
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
