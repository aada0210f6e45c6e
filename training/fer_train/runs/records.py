"""Read the record that a training writes beside its model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fer_edge.errors import ConfigError, DataError, ModelError
from fer_edge.model.bundle import find_bundle
from fer_edge.model.manifest import MANIFEST_FILE
from fer_edge.validation import first_problem
from fer_train.data.datasets import Scheme, parse_scheme
from fer_train.recipes import Recipe
from fer_train.runs.resume import UNFINISHED

KERAS_FILE = "model.keras"

# A training writes this record beside the model.
RECORD_FILE = "training.json"


def model_in(folder: Path) -> Path:
    """Path of the model of a training. Raises ConfigError if the training is not finished."""
    model = folder / KERAS_FILE
    if not model.is_file() and (folder / UNFINISHED).is_dir():
        raise ConfigError(f"{folder}: its training is not finished. Repeat its command with --resume")
    return model


def trained_model(folder: Path) -> Path | None:
    """The model in a training's folder; None for any other, such as a bundle. Raises ConfigError as `model_in`."""
    is_training = (folder / RECORD_FILE).is_file() or (folder / UNFINISHED).is_dir()
    return model_in(folder) if is_training and not (folder / MANIFEST_FILE).is_file() else None


def find_keras_file(name_or_path: Path) -> Path:
    """The Keras model that is meant: a file, the folder of a training or a bundle, or the name of a shipped bundle.

    Raises:
        ModelError: there is none.
        ConfigError: the training is not finished.
    """
    if name_or_path.suffix in {".keras", ".h5"}:
        return name_or_path
    if trained := trained_model(name_or_path):
        return trained
    folder = find_bundle(str(name_or_path))
    if not (folder / KERAS_FILE).is_file():
        raise ModelError(
            f"{folder}: has no {KERAS_FILE}: installed packages leave it out. "
            "Clone fer-edge's repository and name the bundle in its folder models/"
        )
    return folder / KERAS_FILE


def training_record(path: Path) -> dict[str, Any]:
    """Read `training.json` beside a model, or the training part of its bundle's `model.json`; {} if there is none.

    Raises:
        DataError: the record cannot be read.
    """
    record, manifest = path.with_name(RECORD_FILE), path.with_name(MANIFEST_FILE)
    if not record.is_file():
        found = _read_json(manifest).get("training", {}) if manifest.is_file() else {}
        return found if isinstance(found, dict) else {}
    return _read_json(record)


def find_scheme(path: Path, labels: str | None, training: dict[str, Any], fix: str = "Give --labels") -> Scheme:
    """The label set that was given, else the one that the training recorded.

    Raises:
        ConfigError: there is neither. The message ends with `fix`.
    """
    recorded = training.get("scheme")
    if labels is None and not isinstance(recorded, str):
        raise ConfigError(f"{path}: no training record says which labels it was trained on. {fix}")
    return parse_scheme(labels or str(recorded))


def holds_out(training: dict[str, Any]) -> bool:
    """Whether a training's record says that it held faces out."""
    recipe = training.get("recipe")
    return isinstance(recipe, dict) and bool(recipe.get("hold_out"))


def common_recipe(runs: Sequence[Path]) -> Recipe:
    """The recipe of the last of several finished trainings, with only those auxiliary label sets that all have.

    Raises:
        ConfigError: a training is named twice, is not finished, has no recipe, or has another network or other main
            labels.
        DataError: a record cannot be read.
    """
    if len({run.resolve() for run in runs}) < len(runs):
        raise ConfigError("a training is named twice. Name each once")
    recipes = [_recipe(run) for run in runs]
    for run, recipe in zip(runs, recipes, strict=True):
        if recipe.hold_out != recipes[0].hold_out:
            raise ConfigError(f"{run}: {'holds' if recipe.hold_out else 'does not hold'} faces out, unlike {runs[0]}")
        if (recipe.architecture, recipe.labels) != (recipes[0].architecture, recipes[0].labels):
            raise ConfigError(
                f"{run}: is a {recipe.architecture} on {recipe.labels}, {runs[0]} a {recipes[0].architecture} on "
                f"{recipes[0].labels}. Name trainings of one network on the same labels"
            )
    auxiliary = {
        scheme: weight
        for scheme, weight in recipes[-1].also.items()
        if all((run / scheme / KERAS_FILE).is_file() for run in runs)
    }
    return recipes[-1].model_copy(update={"also": auxiliary})


def _recipe(run: Path) -> Recipe:
    recorded = training_record(model_in(run)).get("recipe")
    if not isinstance(recorded, dict):
        raise ConfigError(f"{run}: no training record holds its recipe. Name the folder of a finished training")
    try:
        return Recipe.model_validate(recorded)
    except ValidationError as error:
        problem = ": ".join(first_problem(error, Recipe))
        raise ConfigError(f"{run}: its recipe does not fit this version ({problem})") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: is not a JSON object")
    return found
