"""What a training minimises: heads on one trunk, and their losses."""

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
from fer_train.training.batches import class_shares

# Keeps logarithms finite.
_TINY = 1e-7


def soft(scheme: Scheme) -> str:
    """The name of the head that learns a scheme from teachers."""
    return f"soft_{scheme}"


def add_heads(model: keras.Model, recipe: Recipe, taught: Collection[Scheme] = ()) -> keras.Model:
    """Give a classifier a further head for each label scheme that is learnt besides.

    Args:
        model: (N, 48, 48, 1) to (N, C); its last layer is dense.
        recipe: names the schemes.
        taught: schemes for which there are teachers.

    Returns:
        A model with one output a scheme, by the scheme's name, and for one with teachers also `soft_<scheme>`: the same
        probabilities at the recipe's temperature.
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
    """Return the classifier of one scheme alone, in the present precision.

    Args:
        trunk: the trained classifier of the main labels.
        model: the same with its further heads.
        recipe: of both.
        scheme: whose head.
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
    """Keras' `loss`, `loss_weights` and `weighted_metrics` by head.

    The weights sum to one, with teachers and without, so that a learning rate means the same in both. A teacher's part
    weighs T² more than its share says, since gradients at a temperature T are as much smaller (Hinton et al., 2015).
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
        loss[recipe.labels] = AdjustedCrossentropy(class_shares(targets[recipe.labels]))
    metrics = {scheme: ["accuracy"] for scheme in recipe.schemes}
    return {"loss": loss, "loss_weights": weights, "weighted_metrics": metrics}


class AdjustedCrossentropy(keras.losses.Loss):
    """Cross-entropy after each class' logit was raised by the logarithm of its share (Menon et al., arXiv:2007.07314).

    The model itself is left without that bias, and so favours no class for being frequent.
    """

    def __init__(self, shares: npt.NDArray[np.float32]) -> None:
        super().__init__(name="adjusted_crossentropy")
        self._log_shares = np.log(np.where(shares > 0, shares, 1))  # a class that never occurs is learnt as such

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Targets and probabilities, both (N, C), to losses (N,)."""
        adjusted = ops.log_softmax(ops.log(y_pred + _TINY) + self._log_shares, axis=-1)
        return -ops.sum(y_true * adjusted, axis=-1)
