"""Metrics of predictions: accuracy, precision, recall, F1, calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from fer_train.data.datasets import LabelledFaces

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Score:
    """Metrics of predictions against the class with the largest target; all are fractions, 0..1.

    Attributes:
        images: number of faces.
        accuracy: fraction of correct predictions.
        interval: its 95 % confidence interval.
        calibration_error: see the function of that name.
        support: faces per class.
        precision: per class, the fraction of its predictions that are correct; None if it was never predicted.
        recall: per class, the fraction of its faces that were found; None if it has no faces.
        f1: harmonic mean of both; None if the class has neither faces nor predictions.
    """

    images: int
    accuracy: float
    interval: Interval
    calibration_error: float
    support: dict[str, int]
    precision: dict[str, float | None]
    recall: dict[str, float | None]
    f1: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy, in equally wide bins of confidence; empty bins are left out.

    Attributes:
        low: lower edge of each bin, shape (B,).
        confidence: mean confidence (largest probability) of the faces in the bin, shape (B,).
        accuracy: fraction of correct predictions in the bin, shape (B,).
        count: number of faces in the bin, shape (B,).
        width: width of a bin.
    """

    low: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]
    width: float

    @property
    def error(self) -> float:
        """Expected calibration error, 0..1."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))


def accuracy_interval(right: npt.NDArray[np.bool_]) -> Interval:
    """95 % confidence interval of an accuracy (Wilson, 1927); `right` has shape (N,)."""
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def calibration_error(probabilities: npt.NDArray[np.float32], classes: npt.NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error (ECE), 0..1: the mean distance of confidence from accuracy over equally wide bins.

    Args:
        probabilities: shape (N, C).
        classes: true classes, shape (N,).
        bins: number of bins.

    Source: Guo et al., 2017 (arXiv:1706.04599).
    """
    return reliability(probabilities, classes, bins).error


def reliability(probabilities: npt.NDArray[np.float32], classes: npt.NDArray[np.int64], bins: int = 15) -> Reliability:
    """Compare confidence with accuracy; the arguments are those of `calibration_error`."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == classes
    filled, index, count = np.unique(
        np.minimum((confidence * bins).astype(int), bins - 1), return_inverse=True, return_counts=True
    )
    return Reliability(
        low=filled / bins,
        confidence=np.bincount(index, confidence) / count,
        accuracy=np.bincount(index, right) / count,
        count=np.asarray(count, np.int64),
        width=1 / bins,
    )


def confusion(probabilities: npt.NDArray[np.float32], faces: LabelledFaces) -> npt.NDArray[np.int64]:
    """Faces of each true class (row) by predicted class (column), shape (C, C)."""
    labels = range(len(faces.labels))
    return np.asarray(confusion_matrix(faces.classes, probabilities.argmax(axis=1), labels=labels), np.int64)


def score(probabilities: npt.NDArray[np.float32], faces: LabelledFaces) -> Score:
    """Compare probabilities, shape (N, C), with the labels of the same N faces."""
    predicted = probabilities.argmax(axis=1)
    low, high = accuracy_interval(predicted == faces.classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        faces.classes, predicted, labels=range(len(faces.labels)), zero_division=np.nan
    )
    return Score(
        images=len(faces),
        accuracy=round(float(accuracy_score(faces.classes, predicted)), 4),
        interval=(round(low, 4), round(high, 4)),
        calibration_error=round(calibration_error(probabilities, faces.classes), 4),
        support={label: int(count) for label, count in zip(faces.labels, support, strict=True)},
        precision=_by_label(faces, precision),
        recall=_by_label(faces, recall),
        f1=_by_label(faces, f1),
    )


def _by_label(faces: LabelledFaces, shares: npt.NDArray[np.float64]) -> dict[str, float | None]:
    return {
        label: None if np.isnan(share) else round(float(share), 4)
        for label, share in zip(faces.labels, shares, strict=True)
    }
