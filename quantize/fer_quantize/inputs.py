"""The inputs of a conversion: the float model, its training record and the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.model.bundle import Bundle
from fer_quantize.representative import representative_rows
from fer_quantize.training_prior import training_prior
from fer_train.data.datasets import LABELS, LabelledFaces, Scheme, load_dataset, load_schemes
from fer_train.data.duplicates import without_duplicates
from fer_train.data.holdout import load_fold
from fer_train.evaluation.predictors import refuse_other_outputs
from fer_train.keras_models import load_model, predict
from fer_train.runs.records import find_scheme, holds_out, training_record


@dataclass(frozen=True, slots=True)
class Origin:
    """A float model with the data to convert and measure it.

    Attributes:
        path: path of the Keras file.
        model: the model.
        training: the training record; empty if there is none.
        representative: the training faces that set the int8 ranges.
        seed: the seed that chose them.
        prior: fraction of each label in the training data.
        fresh: faces that the model was not trained on, to choose the temperature: the held-out faces if there are
            any, else the validation split.
        labellings: the validation split with the model's own labels, then with FER2013's if the classes are the same.
        parent: the bundle that the model was refreshed from.
    """

    path: Path
    model: keras.Model
    training: dict[str, Any]
    representative: LabelledFaces
    seed: int
    prior: dict[str, float]
    fresh: LabelledFaces
    labellings: tuple[LabelledFaces, ...]
    parent: Bundle | None = None

    @property
    def faces(self) -> npt.NDArray[np.uint8]:
        """The representative faces, shape (N, 48, 48)."""
        return self.representative.images


def trained_accuracy(training: dict[str, Any], check: LabelledFaces) -> float | None:
    """The accuracy that a training recorded on exactly these faces and labels; None if it measured on others."""
    try:
        if training["data"][check.split]["fingerprint"] != check.fingerprint:
            return None
        return float(training["results"][check.split]["accuracy"])
    except (KeyError, TypeError, ValueError):
        return None


def open_origin(path: Path, data: Path, labels: str | None, representative: int, seed: int) -> Origin:
    """Read a model and its data.

    Args:
        path: a `.keras` or `.h5` file, with `training.json` beside it or `labels` given.
        data: as for `load_dataset`.
        labels: name of the label set; None for the one that the model was trained on.
        representative: how many training faces set the ranges.
        seed: seed that chooses them.

    Raises:
        ModelError: the model cannot be read, or its classes are not those of the labels.
        DataError: the data cannot be read.
        ConfigError: nothing says which labels the model was trained on.
    """
    model = load_model(path)
    training = training_record(path)
    scheme = find_scheme(path, labels, training)
    refuse_other_outputs(path, lambda faces: predict(model, faces), scheme)
    labellings = read_labellings(data, scheme)
    learnt, fresh = load_dataset(data, "train", scheme), labellings[0]
    if holds_out(training):
        (learnt,), (fresh,) = load_fold(data, [scheme])
    train = without_duplicates(learnt, of=labellings[0])
    chosen = train.take(representative_rows(train, representative, seed))
    return Origin(path, model, training, chosen, seed, training_prior(training, learnt), fresh, labellings)


def read_labellings(data: Path, scheme: Scheme) -> tuple[LabelledFaces, ...]:
    """The validation split with a label set, then with FER2013's own labels, which published results use."""
    schemes: list[Scheme] = [scheme]
    if scheme != "fer2013" and LABELS[scheme] == LABELS["fer2013"]:
        schemes.append("fer2013")
    return tuple(load_schemes(data, "validation", schemes).values())
