"""What lies beside a trained model and tells what it learnt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fer_edge.errors import ConfigError, DataError
from fer_edge.model.bundle import MANIFEST_FILE
from fer_edge.validation import first_problem
from fer_train.data.datasets import Scheme, parse_scheme
from fer_train.recipes import Recipe
from fer_train.runs.resume import UNFINISHED

KERAS_FILE = "model.keras"

# What a training writes of itself, beside the model.
RECORD_FILE = "training.json"


def model_in(folder: Path) -> Path:
    """Where the model of a training lies. Raises ConfigError if the training is not finished."""
    model = folder / KERAS_FILE
    if not model.is_file() and (folder / UNFINISHED).is_dir():
        raise ConfigError(f"{folder}: its training is not finished. Repeat its command with --resume")
    return model


def training_record(path: Path) -> dict[str, Any]:
    """What stands in `training.json` beside a model, or in the `model.json` of the bundle it lies in; {} if nothing.

    Raises:
        DataError: the record cannot be read.
    """
    record, manifest = path.with_name(RECORD_FILE), path.with_name(MANIFEST_FILE)
    if not record.is_file():
        found = _read_json(manifest).get("training", {}) if manifest.is_file() else {}
        return found if isinstance(found, dict) else {}
    return _read_json(record)


def find_scheme(path: Path, labels: str | None, training: dict[str, Any], fix: str = "Give --labels") -> Scheme:
    """The label scheme that was asked for, or that a training recorded.

    Raises:
        ConfigError: there is neither; ends with how to fix it.
    """
    recorded = training.get("scheme")
    if labels is None and not isinstance(recorded, str):
        raise ConfigError(f"{path}: no training record says which labels it learnt. {fix}")
    return parse_scheme(labels or str(recorded))


def holds_out(training: dict[str, Any]) -> bool:
    """Whether a training's record says that it held faces out."""
    recipe = training.get("recipe")
    return isinstance(recipe, dict) and bool(recipe.get("hold_out"))


def common_recipe(runs: Sequence[Path]) -> Recipe:
    """The recipe of the last of several finished trainings, with those further labels that all have learnt.

    Raises:
        ConfigError: one is named twice, is not finished, tells no recipe, or differs in its network or main labels.
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
    shared = {
        scheme: weight
        for scheme, weight in recipes[-1].also.items()
        if all((run / scheme / KERAS_FILE).is_file() for run in runs)
    }
    return recipes[-1].model_copy(update={"also": shared})


def _recipe(run: Path) -> Recipe:
    recorded = training_record(model_in(run)).get("recipe")
    if not isinstance(recorded, dict):
        raise ConfigError(f"{run}: no training record tells its recipe. Name the folder of a finished training")
    try:
        return Recipe.model_validate(recorded)
    except ValidationError as error:
        raise ConfigError(f"{run}: its recipe is of another version ({first_problem(error, Recipe)[1]})") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: is not a JSON object")
    return found
