"""Average the weights of several trainings into one model (Wortsman et al., 2022, arXiv:2203.05482)."""

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
    """Average the weights of trainings, with all heads, and write an output folder like that of a training.

    This works if one training was initialised from the other. The mean of two trainings with different random weights
    is useless. The batch norm statistics are measured again.

    Args:
        runs: folders of finished trainings.
        recipe: their recipe, as `records.common_recipe` returns it.
        train: the training faces, once per label set of the recipe.
        validation: the faces to report on, once per label set.
        out: a folder that does not exist yet.

    Returns:
        The model of the main labels.

    Raises:
        ModelError: a model cannot be read, or the networks differ.
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
    """Identify a training, with its recipe, precision, teachers and initial weights."""
    record = training_record(run / KERAS_FILE)
    return {"heads": describe([run])} | {key: record.get(key) for key in ("recipe", "precision", "teachers", "init")}


def _set_mean(layers: Sequence[keras.layers.Layer], models: Sequence[keras.Model], runs: Sequence[Path]) -> None:
    """Set the weights of a network's last layers to the mean of those of the models."""
    for run, model in zip(runs, models, strict=True):
        theirs = [weight.shape for layer in model.layers[-len(layers) :] for weight in layer.weights]
        if theirs != [weight.shape for layer in layers for weight in layer.weights]:
            raise ModelError(f"{run}: its network does not fit its recipe. Train it again")
    for place, layer in enumerate(layers, -len(layers)):
        weights = [model.layers[place].get_weights() for model in models]
        layer.set_weights([np.mean(those, axis=0) for those in zip(*weights, strict=True)])
