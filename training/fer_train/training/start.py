"""Compare a training that starts from another model with its start; keep the start if nothing was gained."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import Interval, accuracy_interval
from fer_train.keras_models import predict

# This keeps logarithms finite.
_TINY = 1e-7

Weights = list[list[npt.NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Gain:
    """The start and the result on the same validation faces, with the main labels.

    Attributes:
        images: number of faces.
        before: accuracy of the starting weights, 0..1.
        after: accuracy of the trained weights.
        interval: its 95 % confidence interval.
        macro_recall_before: mean recall of the classes that have faces, with the starting weights, 0..1.
        macro_recall_after: the same with the trained weights.
        kept_start: whether the starting weights were kept, since nothing was gained.
    """

    images: int
    before: float
    after: float
    interval: Interval
    macro_recall_before: float
    macro_recall_after: float
    kept_start: bool


def weights_of(model: keras.Model) -> Weights:
    """Copies of a model's weights, by layer."""
    return [layer.get_weights() for layer in model.layers]


def blend(model: keras.Model, start: Weights, share: float) -> None:
    """Give a model, in place, the mean of its weights and those it started from (Wortsman et al., arXiv:2109.01903).

    Args:
        model: is changed.
        start: what it started from, as `weights_of` gives it.
        share: weight of the start in the mean, 0..1.
    """
    for layer, old in zip(model.layers, start, strict=True):
        layer.set_weights(
            [share * before + (1 - share) * after for before, after in zip(old, layer.get_weights(), strict=True)]
        )


def keep_start_if_no_better(
    model: keras.Model, classifier: keras.Model, start: Weights, validation: LabelledFaces, *, balanced: bool = False
) -> Gain:
    """Put the starting weights back unless the trained ones are better on the validation faces.

    Better is a higher accuracy, or the same accuracy at a lower mean log loss.

    Args:
        model: with all its heads; is changed.
        classifier: the part of it for the main labels; it has the same weights.
        start: what it started from.
        validation: the faces, with the main labels.
        balanced: compare macro recall instead of accuracy, for a training that cares for rare classes: it gains the
            one at the cost of the other.
    """

    def measure() -> tuple[npt.NDArray[np.bool_], float, float]:
        probabilities = predict(classifier, validation.images)
        loss = -np.log(probabilities[np.arange(len(validation)), validation.classes] + _TINY).mean()
        right = probabilities.argmax(axis=1) == validation.classes
        recalls = [right[validation.classes == label].mean() for label in np.unique(validation.classes)]
        return right, float(np.mean(recalls)), float(loss)

    right, recall, loss = measure()
    trained = weights_of(model)
    _restore(model, start)
    right_before, recall_before, loss_before = measure()
    after, before = (recall, recall_before) if balanced else (right.sum(), right_before.sum())
    has_gained = (after, -loss) > (before, -loss_before)
    if has_gained:
        _restore(model, trained)
    return Gain(
        images=len(validation),
        before=round(float(right_before.mean()), 4),
        after=round(float(right.mean()), 4),
        interval=accuracy_interval(right),
        macro_recall_before=round(recall_before, 4),
        macro_recall_after=round(recall, 4),
        kept_start=not has_gained,
    )


def _restore(model: keras.Model, weights: Weights) -> None:
    for layer, values in zip(model.layers, weights, strict=True):
        layer.set_weights(values)
