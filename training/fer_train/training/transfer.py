"""Start from what another model has learnt."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

import keras

from fer_edge.errors import ConfigError, ModelError, choose
from fer_train.architectures.parts import HEAD
from fer_train.data.datasets import Scheme
from fer_train.keras_models import load_model
from fer_train.runs.records import training_record


def initialise(model: keras.Model, source: Path, freeze: Sequence[str] = ()) -> None:
    """Copy a trained model's weights into a fresh one of the same architecture, and keep some of them as they are.

    The last layer is copied too where it tells as many classes apart; else it stays fresh.

    Args:
        model: is changed; not compiled yet.
        source: a `.keras` or `.h5` file.
        freeze: names of layers, with `*` and `?`; `trunk` stands for all but the last. A frozen batch norm keeps its
            statistics as well.

    Raises:
        ModelError: the source cannot be read or is of another architecture.
        ConfigError: a name to freeze fits no layer.
    """
    learnt = load_model(source)
    if [type(layer) for layer in learnt.layers] != [type(layer) for layer in model.layers]:
        recipe = training_record(source).get("recipe")
        name = recipe.get("architecture", "") if isinstance(recipe, dict) else ""
        raise ModelError(
            f"{source}: is no {_describe(model)}, but {_describe(learnt)}. Name its --architecture {name}".rstrip()
        )
    for layer, other in zip(model.layers, learnt.layers, strict=True):
        weights = other.get_weights()
        if [weight.shape for weight in weights] == [weight.shape for weight in layer.weights]:
            layer.set_weights(weights)
        elif layer is not model.layers[-1]:
            raise ModelError(f"{source}: its layer {other.name} has another size than that of {model.name}")
    for pattern in freeze:
        _freeze(model, pattern)


def initialise_heads(model: keras.Model, source: Path, schemes: Sequence[Scheme]) -> None:
    """Copy the further heads of a training, too, as far as it had them.

    Args:
        model: has a head for each of the schemes.
        source: the file that its trunk was copied from.
        schemes: of the heads.

    Raises:
        ModelError: a head cannot be read.
    """
    for scheme in schemes:
        head = source.parent / scheme / source.name
        if head.is_file():
            model.get_layer(f"{HEAD}_{scheme}").set_weights(load_model(head).layers[-1].get_weights())


def _describe(model: keras.Model) -> str:
    return f"{model.name} of {model.count_params():,} parameters"


def _freeze(model: keras.Model, pattern: str) -> None:
    fitting = [layer for layer in model.layers[:-1] if pattern == "trunk" or fnmatch.fnmatchcase(layer.name, pattern)]
    if not fitting:
        names = [layer.name for layer in model.layers[1:-1] if layer.weights]
        raise ConfigError(f"--freeze {pattern}: no such layer. {choose(pattern, ('trunk', *names))}")
    for layer in fitting:
        layer.trainable = False
