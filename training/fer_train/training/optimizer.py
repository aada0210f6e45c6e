"""The optimizer of a training, and the variables that a training adds to a model."""

from __future__ import annotations

from typing import Any

import keras

from fer_train.recipes import Recipe
from fer_train.training.batches import Batch


def make_optimizer(recipe: Recipe, steps: int, model: keras.Model) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, with its schedule over epochs of so many steps."""
    options: dict[str, Any] = {
        "learning_rate": _rate(recipe, steps),
        "weight_decay": recipe.weight_decay or None,
        "use_ema": recipe.ema > 0,
        "global_clipnorm": recipe.clip_norm or None,
        "ema_momentum": max(min(recipe.ema, 1 - 5 / (recipe.epochs * steps)), 0.0),
    }
    optimizer: keras.optimizers.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=recipe.momentum, nesterov=recipe.momentum > 0, **options)
    else:
        optimizer = keras.optimizers.Adam(**options)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(
            var_list=[weight for weight in model.trainable_variables if len(weight.shape) == 1]
        )
    return optimizer


def create_variables(model: keras.Model, batch: Batch) -> None:
    """Create the variables of a compiled model's optimizer, losses and metrics.

    Without this the first step creates them, and TensorFlow builds the graph of a step that does so twice.
    """
    images, targets, weights = batch
    face = slice(1)
    outputs = model(images[face])
    rows = ({head: target[face] for head, target in targets.items()}, outputs)
    shares = {head: weight[face] for head, weight in weights.items()}
    model.optimizer.build(model.trainable_variables)
    model.compute_loss(images[face], *rows, shares)
    model.compute_metrics(images[face], *rows, shares)
    model.reset_metrics()


def _rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if recipe.schedule != "cosine":
        return recipe.learning_rate
    warmup = round(recipe.warmup_epochs * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.learning_rate if not warmup else recipe.learning_rate / warmup,
        decay_steps=max(recipe.epochs * steps - warmup, 1),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
