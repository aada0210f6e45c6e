"""Convolutions and batch norms by PyTorch's own kernels: Keras' ways there take more time than the mathematics."""

from __future__ import annotations

from functools import partial

import keras


def fuse_layers(model: keras.Model) -> None:
    """Let PyTorch's own kernels compute a model's convolutions and batch norms, where PyTorch is the back end.

    Keras copies each convolution's input into another layout, in which the gradients are slow as well, and goes a dozen
    times over a batch norm's. The mathematics is Keras' (Ioffe & Szegedy, arXiv:1502.03167), but for the moving
    variance, which PyTorch keeps unbiased. The layers stay Keras' own, and are saved as such.
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
    """What `same` adds before and after: the output has a pixel for each stride that has begun, the odd one is last."""
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
