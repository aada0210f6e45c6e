"""ELU in operations that have int8 kernels: the converter leaves TFLite's own ELU in float."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import keras
import tensorflow as tf
from keras import ops


def with_int8_elu(model: keras.Model) -> keras.Model:
    """Return an equal model without ELU operations, or the model itself if it has none.

    ELU (Clevert et al., arXiv:1511.07289) is max(x, 0) + alpha (exp(min(x, 0)) - 1). Negation and minimum are written
    as products and ReLU, since the converter leaves the negation in float and gives the minimum a wrong range.
    """
    if not any(map(_is_elu, _layers(model))):
        return model
    rewritten = keras.models.clone_model(model, clone_function=_rewrite, recursive=True)
    rewritten.set_weights(model.get_weights())
    return rewritten


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Its layers, and those of models in it."""
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)


def _is_elu(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.ELU) or getattr(layer, "activation", None) is keras.activations.elu


def _rewrite(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Copy a layer without its weights."""
    if isinstance(layer, keras.layers.ELU):
        alpha = float(layer.alpha)
        return keras.layers.Activation(partial(_elu, alpha=alpha), name=layer.name)
    copy = layer.__class__.from_config(layer.get_config())
    if _is_elu(layer):
        copy.activation = _elu
    return copy


# It has no branches, and AutoGraph would leave a temporary file.
@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def _elu(x: keras.KerasTensor, alpha: float = 1.0) -> keras.KerasTensor:
    return ops.relu(x) - alpha * (1 - ops.exp(ops.relu(x * -1.0) * -1.0))
