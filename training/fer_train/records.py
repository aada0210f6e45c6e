"""What lies beside a trained model and tells what it learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fer_edge.bundle import MANIFEST_FILE
from fer_edge.errors import ConfigError, DataError
from fer_train.datasets import Scheme, parse_scheme
from fer_train.unfinished import UNFINISHED

KERAS_FILE = "model.keras"

RECORD_FILE = "training.json"
"""What a training writes of itself, beside the model."""


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


def find_scheme(path: Path, labels: str | None, training: dict[str, Any], mend: str = "Give --labels") -> Scheme:
    """The label scheme that was asked for, or that a training recorded.

    Raises:
        ConfigError: there is neither; ends with the mend.
    """
    recorded = training.get("scheme")
    if labels is None and not isinstance(recorded, str):
        raise ConfigError(f"{path}: no training record says which labels it learnt. {mend}")
    return parse_scheme(labels or str(recorded))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: is not a JSON object")
    return found
