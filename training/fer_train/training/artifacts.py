"""Save the results of a training: one model per head, with its record and its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from fer_edge import __version__
from fer_train.architectures import count_macs
from fer_train.data.datasets import LABELS, LabelledFaces
from fer_train.evaluation.metrics import score
from fer_train.evaluation.report import write_report
from fer_train.files import make_folder, require_room, write_whole
from fer_train.keras_models import predict
from fer_train.recipes import Recipe
from fer_train.runs.records import KERAS_FILE, RECORD_FILE
from fer_train.training.batches import Batches
from fer_train.training.losses import head_model


def circumstances(recipe: Recipe, parts: Sequence[LabelledFaces]) -> dict[str, Any]:
    """The part of a training record about the data, per label set, and the versions."""
    return {
        "data": {
            scheme: {faces.split: describe_faces(faces) for faces in parts if faces.scheme == scheme}
            for scheme in recipe.schemes
        },
        "versions": {
            "fer-edge": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }


def describe_faces(faces: LabelledFaces) -> dict[str, Any]:
    """Identify a split in a training record."""
    return {"source": faces.source.name, "images": len(faces), "fingerprint": faces.fingerprint}


def save(
    trunk: keras.Model,
    model: keras.Model,
    record: dict[str, Any],
    validation: Sequence[LabelledFaces],
    recipe: Recipe,
    out: Path,
    history: Path | None = None,
) -> keras.Model:
    """Save one model per head, with its record and its report: the main head in `out`, the others in subfolders.

    Args:
        trunk: the classifier of the main labels, in float32.
        model: the same with its auxiliary heads.
        record: how the model was trained, with `circumstances`.
        validation: the faces to report on, once per label set of the recipe.
        recipe: recipe of the training.
        out: output folder; created if missing.
        history: the training's `history.csv`, for the curves.

    Returns:
        The model of the main labels.
    """
    saved = {}
    for faces in validation:
        folder = out if faces.scheme == recipe.labels else out / faces.scheme
        saved[faces.scheme] = head_model(trunk, model, recipe, faces.scheme)
        make_folder(folder)
        _save_head(saved[faces.scheme], record, faces, folder, history)
    return saved[recipe.labels]


def _save_head(
    model: keras.Model, record: dict[str, Any], validation: LabelledFaces, folder: Path, history: Path | None
) -> None:
    scheme, probabilities = validation.scheme, predict(model, validation.images)
    described = {"scheme": scheme, "labels": list(LABELS[scheme])} | record
    described |= {
        "data": record["data"][scheme],
        "architecture": model.name,
        "parameters": model.count_params(),
        "macs": count_macs(model),
        "results": {validation.split: asdict(score(probabilities, validation))},
    }
    write_report(folder, probabilities, validation, f"{model.name}, {scheme}", history=history, record=described)
    aside = folder / "model.aside.keras"
    require_room(folder, 4 * model.count_params())
    model.save(aside)
    write_whole(folder / RECORD_FILE, (json.dumps(described, indent=2) + "\n").encode())
    aside.replace(folder / KERAS_FILE)


def refresh_batch_norm(model: keras.Model, batches: Batches, full: int) -> None:
    """Measure the batch norm statistics again: averaged weights need new ones (Izmailov et al., arXiv:1803.05407).

    Fifty batches, augmented as in the last epoch, replace the old statistics. The first `full` batches of an epoch have
    the full size. Only these are used, unless there are none.
    """
    for step in range(50):
        epoch, index = divmod(step, max(full, 1))
        batches.start_epoch(batches.last_epoch + epoch)
        model(batches[index][0], training=True)
