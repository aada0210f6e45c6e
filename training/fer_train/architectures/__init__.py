"""Networks by name: grey faces (N, 48, 48, 1), 0..255, to class probabilities (N, C)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
from keras import layers

from fer_edge.errors import ConfigError, choose
from fer_train.architectures.classic import cnn_3block, cnn_bn, cnn_elu, cnn_small
from fer_train.architectures.compact import mini_xception, mobile, resnet
from fer_train.architectures.edge import edge_net
from fer_train.architectures.face_resnet import face_resnet


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network with a name.

    Attributes:
        build: function of the number of classes and, optionally, `dropout`.
        source: where its design comes from.
    """

    build: Callable[..., keras.Model]
    source: str


ARCHITECTURES: dict[str, Architecture] = {
    "edge": Architecture(edge_net, "ours, residual (arXiv:1512.03385)"),
    "edge-tiny": Architecture(
        partial(edge_net, widths=(16, 24, 48, 72), depths=(1, 1, 1, 1), stem=8, dropout=0.0), "ours"
    ),
    "edge-wide": Architecture(
        partial(edge_net, widths=(64, 128, 192, 256), depths=(1, 2, 2, 1), dropout=0.4), "ours: a teacher"
    ),
    "edge-deep": Architecture(
        partial(edge_net, widths=(64, 128, 256, 384), depths=(2, 3, 3, 2), stem=32, dropout=0.4), "ours: a teacher"
    ),
    "cnn-bn": Architecture(cnn_bn, "usual with FER2013; batch norm: arXiv:1502.03167"),
    "cnn-elu": Architecture(cnn_elu, "usual with FER2013; ELU: arXiv:1511.07289"),
    "cnn-small": Architecture(cnn_small, "usual with FER2013"),
    "cnn-3block": Architecture(cnn_3block, "usual with FER2013"),
    "mini-xception": Architecture(mini_xception, "arXiv:1710.07557"),
    "mobile": Architecture(mobile, "MobileNetV2, arXiv:1801.04381"),
    "resnet": Architecture(resnet, "ResNet, arXiv:1512.03385"),
    "resnet-wide": Architecture(partial(resnet, width=64), "ResNet, arXiv:1512.03385: a teacher"),
    "resnet29-face": Architecture(face_resnet, "dlib's face recognition: a teacher; see fer-train fetch"),
}


def build(name: str, classes: int, dropout: float | None = None) -> keras.Model:
    """Build a network with random weights.

    Args:
        name: one of `ARCHITECTURES`.
        classes: number of classes.
        dropout: dropout rate; None for the architecture's own.

    Raises:
        ConfigError: no network has that name.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(f"architecture '{name}' is unknown. {choose(name, ARCHITECTURES)}")
    options = {} if dropout is None else {"dropout": dropout}
    return ARCHITECTURES[name].build(classes, **options)


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
        elif isinstance(layer, keras.Model):
            total += count_macs(layer)
    return int(total)
