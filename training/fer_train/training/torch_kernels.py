"""Use PyTorch's own kernels for convolutions and batch norms: Keras' implementations on PyTorch are slow."""

from __future__ import annotations

from functools import partial

import keras


def fuse_layers(model: keras.Model) -> None:
    """Let PyTorch's own kernels compute a model's convolutions and batch norms, if PyTorch is the back end.

    Keras copies each convolution's input into another memory layout, in which gradients are slow too, and computes a
    batch norm in about a dozen passes. The results are the same (Ioffe & Szegedy, arXiv:1502.03167), except for the
    moving variance, which is unbiased in PyTorch. The layers stay Keras layers and are saved as such.
    """
    if keras.backend.backend() != "torch":
        return
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.call = partial(_normalise, layer)
        elif isinstance(layer, keras.layers.Conv2D) and layer.groups == 1 and layer.dilation_rate == (1, 1):
            layer.convolution_op = partial(_convolve, layer)


def _convolve(layer: keras.layers.Conv2D, inputs: keras.KerasTensor, kernel: keras.KerasTensor) -> object:
    import torch  # noqa: PLC0415 - only where it is the back end

    images = torch.movedim(inputs, -1, 1)
    before_after = [
        _padding(layer, axis, size) if layer.padding == "same" else (0, 0) for axis, size in enumerate(images.shape[2:])
    ]
    if all(before == after for before, after in before_after):
        around = [before for before, _ in before_after]
    else:
        images, around = torch.nn.functional.pad(images, (*before_after[1], *before_after[0])), [0, 0]
    kernel = torch.permute(keras.ops.cast(kernel, layer.compute_dtype), (3, 2, 0, 1))
    return torch.movedim(torch.nn.functional.conv2d(images, kernel, stride=layer.strides, padding=around), 1, -1)


def _padding(layer: keras.layers.Conv2D, axis: int, size: int) -> tuple[int, int]:
    """Padding before and after an axis for Keras' `same`: an odd pixel is added at the end."""
    kernel, stride = layer.kernel_size[axis], layer.strides[axis]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _normalise(
    layer: keras.layers.BatchNormalization,
    inputs: keras.KerasTensor,
    training: bool | None = None,
    mask: None = None,  # noqa: ARG001 - Keras' signature
) -> object:
    import torch  # noqa: PLC0415 - only where it is the back end

    outputs = torch.nn.functional.batch_norm(
        torch.movedim(inputs, -1, 1),
        layer.moving_mean.value,
        layer.moving_variance.value,
        layer.gamma.value,
        layer.beta.value,
        training=bool(training and layer.trainable),
        momentum=1 - layer.momentum,
        eps=layer.epsilon,
    )
    return torch.movedim(outputs, 1, -1)
