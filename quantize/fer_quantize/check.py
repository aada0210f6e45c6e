"""What int8 costs: float and int8 on the same labelled faces, int8 through the runtime's own classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
from fer_edge.bundle import Accuracy, Bundle
from fer_edge.classifier import Classifier
from fer_train.datasets import LabelledFaces
from fer_train.fit import predict
from fer_train.metrics import score

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Float against int8 on one split.

    Attributes:
        accuracies: one a labelling of the same pictures; the first decides.
        agreement: share of faces that both give the same label.
        distribution: mean int8 probability of each label.
    """

    accuracies: tuple[Accuracy, ...]
    agreement: float
    distribution: dict[str, float]

    @property
    def drop(self) -> float:
        """Accuracy that int8 lost, in percentage points; negative if it gained."""
        first = self.accuracies[0]
        return round(100 * (first.accuracy_float - first.accuracy_int8), 2)


def compare(model: keras.Model, bundle: Bundle, labellings: Sequence[LabelledFaces]) -> Comparison:
    """Run both models on each labelling of a split, the one that decides first."""
    runs = [(faces, predict(model, faces.images), predict_int8(bundle, faces.images)) for faces in labellings]
    _, floats, ints = runs[0]
    return Comparison(
        accuracies=tuple(_accuracy(*run) for run in runs),
        agreement=float((floats.argmax(axis=1) == ints.argmax(axis=1)).mean()),
        distribution={
            label: round(float(share), 4)
            for label, share in zip(bundle.manifest.labels, ints.mean(axis=0), strict=True)
        },
    )


def _accuracy(faces: LabelledFaces, floats: Scores, ints: Scores) -> Accuracy:
    before, after = score(floats, faces), score(ints, faces)
    return Accuracy(
        data=faces.source.name,
        split=faces.split,
        labels=faces.scheme,
        images=len(faces),
        accuracy_float=before.accuracy,
        accuracy_int8=after.accuracy,
        recall_float=before.recall,
        recall_int8=after.recall,
    )


def predict_int8(bundle: Bundle, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Probabilities, shape (N, C), of a bundle for grey faces of shape (N, H, W)."""
    classifier = Classifier(bundle)
    return np.array([classifier.probabilities(image) for image in images])


def why_not(comparison: Comparison, max_drop: float, trained_accuracy: float | None) -> str | None:
    """Return why a bundle must not ship, or None.

    Args:
        comparison: the measurement.
        max_drop: percentage points that int8 may lose.
        trained_accuracy: what the training recorded for the float model on this split, if known.
    """
    first = comparison.accuracies[0]
    if trained_accuracy is not None and 100 * (trained_accuracy - first.accuracy_float) > max_drop:
        return (
            f"the float model scores {first.accuracy_float:.2%}, but its training recorded {trained_accuracy:.2%}: "
            "it is not the model that was trained"
        )
    if comparison.drop > max_drop:
        return f"int8 loses {comparison.drop:.2f} percentage points, more than the {max_drop:g} allowed"
    return None
