"""One model from several trainings: the mean of their weights (Wortsman et al., 2022, arXiv:2203.05482)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge.errors import ModelError
from fer_train.architectures import build
from fer_train.architectures.parts import HEAD
from fer_train.data.datasets import LABELS, LabelledFaces
from fer_train.keras_models import load_model
from fer_train.recipes import Recipe
from fer_train.runs.records import KERAS_FILE, training_record
from fer_train.training.artifacts import circumstances, refresh_batch_norm, save
from fer_train.training.batches import Batches, join
from fer_train.training.distillation import describe
from fer_train.training.losses import add_heads
from fer_train.training.torch_kernels import fuse_layers


def average(
    runs: Sequence[Path],
    recipe: Recipe,
    train: Sequence[LabelledFaces],
    validation: Sequence[LabelledFaces],
    out: Path,
) -> keras.Model:
    """Average the weights of trainings, all heads, and write a folder as a training does.

    That makes sense where one began with another's weights: apart from one start, trainings end in places between which
    the mean is worth nothing. The batch norms are measured again.

    Args:
        runs: folders of finished trainings.
        recipe: theirs, as `records.common_recipe` gives it.
        train: what they learnt from, once for each of the recipe's label schemes.
        validation: what to report on, alike.
        out: a folder that does not exist yet.

    Returns:
        The model of the main labels.

    Raises:
        ModelError: a model cannot be read, or they are of different networks.
        ConfigError: the folder cannot be written.
    """
    keras.utils.set_random_seed(recipe.seed)
    trunk = build(recipe.architecture, len(LABELS[recipe.labels]), recipe.dropout)
    _set_mean(trunk.layers, [load_model(run / KERAS_FILE) for run in runs], runs)
    model = add_heads(trunk, recipe)
    for scheme in recipe.also:
        heads = [load_model(run / scheme / KERAS_FILE) for run in runs]
        _set_mean([model.get_layer(f"{HEAD}_{scheme}")], heads, runs)
    fuse_layers(model)
    examples = join(train)
    refresh_batch_norm(model, Batches(examples, recipe), len(examples) // recipe.batch_size)
    record = {
        "recipe": recipe.model_dump(mode="json"),
        "averaged": [run.resolve().name for run in runs],
        "trainings": [_origin(run) for run in runs],
    }
    return save(trunk, model, record | circumstances(recipe, [*train, *validation]), validation, recipe, out)


def _origin(run: Path) -> dict[str, Any]:
    """Which training it was, and how it was made."""
    record = training_record(run / KERAS_FILE)
    return {"heads": describe([run])} | {key: record.get(key) for key in ("recipe", "precision", "teachers", "init")}


def _set_mean(layers: Sequence[keras.layers.Layer], models: Sequence[keras.Model], runs: Sequence[Path]) -> None:
    """Give layers, the last ones of a network, the mean of what others have there."""
    for run, model in zip(runs, models, strict=True):
        theirs = [weight.shape for layer in model.layers[-len(layers) :] for weight in layer.weights]
        if theirs != [weight.shape for layer in layers for weight in layer.weights]:
            raise ModelError(f"{run}: its network is another than that of its recipe. Train it anew")
    for place, layer in enumerate(layers, -len(layers)):
        weights = [model.layers[place].get_weights() for model in models]
        layer.set_weights([np.mean(those, axis=0) for those in zip(*weights, strict=True)])
