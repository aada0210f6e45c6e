"""The training prior: how frequent each class was in the training data. The runtime divides by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_edge.errors import DataError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_quantize.manifest_writer import write_manifest
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.data.holdout import load_fold
from fer_train.foreign import foreign_colour
from fer_train.runs.records import find_scheme, holds_out
from fer_train.training.batches import class_frequencies


def training_prior(training: dict[str, Any], train: LabelledFaces) -> dict[str, float]:
    """Fraction of each label in the training data, in the order of the labels.

    Args:
        training: the training record. If that training balanced the classes, or the model was made elsewhere, all
            fractions are equal.
        train: the training split.
    """
    recipe = training.get("recipe")
    imbalance = recipe.get("imbalance", "none") if isinstance(recipe, dict) else "none"
    if imbalance != "none" or foreign_colour(training):
        return dict.fromkeys(train.labels, 1 / len(train.labels))
    return {
        label: round(float(share), 4)
        for label, share in zip(train.labels, class_frequencies(train.targets), strict=True)
    }


def add_prior(name: str, data: Path) -> Path:
    """Write the prior into the `model.json` of a bundle that has none; return the bundle's folder.

    Raises:
        ModelError: the bundle cannot be used.
        DataError: the data cannot be read, or is not what the model was trained on.
        ConfigError: nothing says which labels the model was trained on, or `model.json` cannot be written.
    """
    folder = find_bundle(name)
    manifest = load_bundle(folder).manifest
    scheme = find_scheme(folder, None, manifest.training)
    train = load_fold(data, [scheme])[0][0] if holds_out(manifest.training) else load_dataset(data, "train", scheme)
    if _fingerprint(manifest.training) != train.fingerprint:
        raise DataError(f"{train.source}: {folder} was not trained on these faces. Give --data its training data")
    write_manifest(folder, manifest.model_copy(update={"prior": training_prior(manifest.training, train)}))
    return folder


def _fingerprint(training: dict[str, Any]) -> object:
    try:
        return training["data"]["train"]["fingerprint"]
    except (KeyError, TypeError):
        return None
