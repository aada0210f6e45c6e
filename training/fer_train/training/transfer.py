"""Initialise a network from the weights of another."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from fer_edge.errors import ConfigError, ModelError, choose
from fer_train.architectures.parts import HEAD
from fer_train.data.datasets import Scheme
from fer_train.keras_models import load_model
from fer_train.runs.records import training_record


def initialise(model: keras.Model, source: Path, freeze: Sequence[str] = ()) -> None:
    """Copy a trained model's weights into a new one of the same architecture, and freeze some layers.

    The last layer is copied too if it has the same number of classes; otherwise it keeps its random weights.

    Args:
        model: changed in place; must not be compiled yet.
        source: a `.keras` or `.h5` file.
        freeze: names of layers, with `*` and `?`; `trunk` means all but the last. A frozen batch norm also keeps its
            statistics.

    Raises:
        ModelError: the source cannot be read or is of another architecture.
        ConfigError: a name to freeze matches no layer.
    """
    learnt = load_model(source)
    if [type(layer) for layer in learnt.layers] != [type(layer) for layer in model.layers]:
        recipe = training_record(source).get("recipe")
        name = recipe.get("architecture", "") if isinstance(recipe, dict) else ""
        raise ModelError(
            f"{source}: is {_describe(learnt)}, not {_describe(model)}. Give its --architecture {name}".rstrip()
        )
    for layer, other in zip(model.layers, learnt.layers, strict=True):
        weights = other.get_weights()
        if [weight.shape for weight in weights] == [weight.shape for weight in layer.weights]:
            layer.set_weights(weights)
        elif layer is not model.layers[-1]:
            raise ModelError(f"{source}: its layer {other.name} has another size than in {model.name}")
    for pattern in freeze:
        _freeze(model, pattern)


def initialise_heads(model: keras.Model, source: Path, schemes: Sequence[Scheme]) -> None:
    """Copy the auxiliary heads of a training, as far as it has them.

    Args:
        model: has a head for each of the label sets.
        source: the file from which its trunk was copied.
        schemes: label sets of the heads.

    Raises:
        ModelError: a head cannot be read.
    """
    for scheme in schemes:
        head = source.parent / scheme / source.name
        if head.is_file():
            model.get_layer(f"{HEAD}_{scheme}").set_weights(load_model(head).layers[-1].get_weights())


def hold_near_start(model: keras.Model, strength: float) -> None:
    """Add a loss that pulls each trained weight back to its current value.

    It is half of `strength` times the squared distance, summed over all weights (L2-SP, Li et al., arXiv:1802.01483).
    """
    for weight in model.trainable_variables:
        weight.regularizer = _SquaredDistance(ops.convert_to_numpy(weight.value).copy(), strength)


class _SquaredDistance(keras.regularizers.Regularizer):
    """Half the squared distance to a point, times a factor."""

    def __init__(self, start: npt.NDArray[np.float32], strength: float) -> None:
        self._start = start
        self._strength = strength

    def __call__(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """From weights of the point's shape to a scalar."""
        return self._strength / 2 * ops.sum(ops.square(x - self._start))


def _describe(model: keras.Model) -> str:
    return f"{model.name} with {model.count_params():,} parameters"


def _freeze(model: keras.Model, pattern: str) -> None:
    fitting = [layer for layer in model.layers[:-1] if pattern == "trunk" or fnmatch.fnmatchcase(layer.name, pattern)]
    if not fitting:
        names = [layer.name for layer in model.layers[1:-1] if layer.weights]
        raise ConfigError(f"--freeze {pattern}: no such layer. {choose(pattern, ('trunk', *names))}")
    for layer in fitting:
        layer.trainable = False
