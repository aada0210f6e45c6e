"""Keras models on disk: read them, know what they learnt, ask them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.bundle import MANIFEST_FILE
from fer_edge.errors import ConfigError, DataError, ModelError
from fer_edge.preprocess import MODEL_SIZE
from fer_train.datasets import Scheme, parse_scheme

RECORD_FILE = "training.json"
"""What a training writes of itself, beside the model."""


def load_model(path: Path) -> keras.Model:
    """Read a `.keras` or `.h5` model that eats grey faces.

    Raises:
        ModelError: it is missing, unreadable, or of another input shape.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file. Train one with fer-train fit")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: is not a usable Keras model ({str(error).splitlines()[0][:160]})") from error
    shapes = (getattr(model, "input_shape", None), getattr(model, "output_shape", ()))
    if shapes[0] != (None, MODEL_SIZE, MODEL_SIZE, 1) or not isinstance(shapes[1], tuple) or len(shapes[1]) != 2:
        raise ModelError(
            f"{path}: goes from {shapes[0]} to {shapes[1]}, expected (None, {MODEL_SIZE}, {MODEL_SIZE}, 1) to "
            "(None, classes)"
        )
    return model


def predict(model: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Probabilities, shape (N, C), for grey faces of shape (N, 48, 48)."""
    return np.asarray(model.predict(images[..., None], batch_size=512, verbose=0), np.float32)


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


def find_scheme(path: Path, labels: str | None, training: dict[str, Any]) -> Scheme:
    """The label scheme that was asked for, or that a training recorded. Raises ConfigError if there is neither."""
    recorded = training.get("scheme")
    if labels is None and not isinstance(recorded, str):
        raise ConfigError(f"{path}: no training record says which labels it learnt. Give --labels")
    return parse_scheme(labels or str(recorded))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: is not a JSON object")
    return found
