"""How good predictions are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, recall_score

from fer_train.datasets import LabelledFaces


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy against the class with the largest share of votes; fractions of one."""

    images: int
    accuracy: float
    recall: dict[str, float | None]
    """A class without images has none."""


def calibration_error(probabilities: npt.NDArray[np.float32], classes: npt.NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error, 0..1: how far confidence is from accuracy, the mean over equally wide bins.

    Args:
        probabilities: shape (N, C).
        classes: the true ones, shape (N,).
        bins: how many.

    Source: Guo et al., 2017 (arXiv:1706.04599).
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == classes
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float(right[index == b].mean() - confidence[index == b].mean())) for b in np.unique(index)]
    return float(np.average(gaps, weights=np.unique(index, return_counts=True)[1]))


def score(probabilities: npt.NDArray[np.float32], faces: LabelledFaces) -> Score:
    """Compare probabilities, shape (N, C), with the labels of the same N faces."""
    predicted = probabilities.argmax(axis=1)
    recalls = recall_score(
        faces.classes, predicted, labels=range(len(faces.labels)), average=None, zero_division=np.nan
    )
    return Score(
        images=len(faces),
        accuracy=round(float(accuracy_score(faces.classes, predicted)), 4),
        recall={
            label: None if np.isnan(recall) else round(float(recall), 4)
            for label, recall in zip(faces.labels, recalls, strict=True)
        },
    )
