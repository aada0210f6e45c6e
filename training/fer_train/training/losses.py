"""The heads on one trunk, and their losses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from fer_train.architectures import build
from fer_train.architectures.parts import HEAD
from fer_train.data.datasets import LABELS, Scheme
from fer_train.recipes import Recipe
from fer_train.training.batches import class_frequencies

# This keeps logarithms finite.
_TINY = 1e-7


def soft(scheme: Scheme) -> str:
    """The name of the head that is trained on the teachers' outputs for a label set."""
    return f"soft_{scheme}"


def add_heads(model: keras.Model, recipe: Recipe, taught: Collection[Scheme] = ()) -> keras.Model:
    """Add an auxiliary head to a classifier for each auxiliary label set.

    Args:
        model: (N, 48, 48, 1) to (N, C); its last layer is dense.
        recipe: names the label sets.
        taught: label sets for which there are teachers.

    Returns:
        A model with one output per label set, with its name. A label set with teachers has a second output
        `soft_<name>`: the same probabilities at the recipe's temperature.
    """
    features = model.get_layer(HEAD).input
    outputs: dict[str, keras.KerasTensor] = {recipe.labels: model.output}
    for scheme in recipe.also:
        head = layers.Dense(len(LABELS[scheme]), activation="softmax", dtype="float32", name=f"{HEAD}_{scheme}")
        outputs[scheme] = head(features)
    for scheme in taught:
        outputs[soft(scheme)] = ops.softmax(ops.log(outputs[scheme] + _TINY) / recipe.temperature)
    return keras.Model(model.input, outputs, name=model.name)


def head_model(trunk: keras.Model, model: keras.Model, recipe: Recipe, scheme: Scheme) -> keras.Model:
    """Return the classifier of one label set alone, in the current precision.

    Args:
        trunk: the trained classifier of the main labels.
        model: the same with its auxiliary heads.
        recipe: recipe of both.
        scheme: the label set of the head.
    """
    alone = build(recipe.architecture, len(LABELS[scheme]), recipe.dropout)
    trained = trunk.layers
    if scheme != recipe.labels:
        trained = [*trained[:-1], model.get_layer(f"{HEAD}_{scheme}")]
    for fresh, layer in zip(alone.layers, trained, strict=True):
        fresh.set_weights(layer.get_weights())
    return alone


def soften(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Teachers' probabilities, shape (N, C), at a temperature."""
    powers = (probabilities + _TINY) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def losses(
    recipe: Recipe, targets: Mapping[str, npt.NDArray[np.float32]], taught: Collection[Scheme] = ()
) -> dict[str, Any]:
    """Keras' `loss`, `loss_weights` and `weighted_metrics` per head.

    The weights sum to one, with and without teachers, so that a learning rate means the same in both cases. The loss
    against teachers is multiplied by T², since gradients at temperature T are smaller by that factor (Hinton et al.,
    2015).
    """
    weights: dict[str, float] = {}
    for scheme in recipe.schemes:
        weight = recipe.also.get(scheme, 1.0)
        share = recipe.soft_share if scheme in taught else 0.0
        weights[scheme] = weight * (1 - share)
        if share:
            weights[soft(scheme)] = weight * share * recipe.temperature**2
    total = sum(weights.values())
    weights = {head: weight / total for head, weight in weights.items()}
    loss: dict[str, Any] = dict.fromkeys(weights, "categorical_crossentropy")
    if recipe.imbalance == "logit_adjustment":
        loss[recipe.labels] = AdjustedCrossentropy(class_frequencies(targets[recipe.labels]))
    metrics = {scheme: ["accuracy"] for scheme in recipe.schemes}
    return {"loss": loss, "loss_weights": weights, "weighted_metrics": metrics}


class AdjustedCrossentropy(keras.losses.Loss):
    """Cross-entropy with the log class frequency added to each logit (Menon et al., arXiv:2007.07314).

    The model itself has no such bias, so it does not prefer frequent classes.
    """

    def __init__(self, frequencies: npt.NDArray[np.float32]) -> None:
        super().__init__(name="adjusted_crossentropy")
        self._log_frequencies = np.log(np.where(frequencies > 0, frequencies, 1))  # no change for an absent class

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Return losses, shape (N,), for targets and probabilities, both of shape (N, C)."""
        logits = ops.log(y_pred + _TINY)
        # PyTorch does not add NumPy's arrays.
        adjusted = ops.log_softmax(logits + ops.convert_to_tensor(self._log_frequencies, logits.dtype), axis=-1)
        return -ops.sum(y_true * adjusted, axis=-1)
