"""Compare the float and the int8 model on the same labelled faces; int8 runs through the runtime's own classifier."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.model.bundle import Bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.interpreter import open_interpreter
from fer_edge.model.manifest import Accuracy
from fer_quantize.convert import convert
from fer_quantize.statistics import PairedDrop, paired_drop
from fer_train.architectures import count_macs
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import Interval, accuracy_interval, calibration_error, score
from fer_train.evaluation.predictors import predict_bundle
from fer_train.evaluation.tflite import feed
from fer_train.keras_models import predict

# These are probabilities, shape (N, C).
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Float against int8 on one split with one label set. Accuracies and recalls are fractions, 0..1.

    Attributes:
        accuracy: against those labels, and the recall of each class.
        interval_float: 95 % confidence interval of the float model's accuracy.
        interval_int8: that of the int8 model's.
        drop: what int8 lost, paired face by face.
        net_losses: faces per class that int8 lost, less those it gained.
        class_images: faces per class.
        agreement: fraction of the faces to which both models give the same label.
        mean_difference: mean absolute difference of a probability.
        max_difference: largest absolute difference of a probability.
        ece_float: expected calibration error of the float model.
        ece_int8: that of the int8 model.
    """

    accuracy: Accuracy
    interval_float: Interval
    interval_int8: Interval
    drop: PairedDrop
    net_losses: dict[str, int]
    class_images: dict[str, int]
    agreement: float
    mean_difference: float
    max_difference: float
    ece_float: float
    ece_int8: float

    def class_drop(self, label: str) -> float:
        """The recall that a class lost, in percentage points."""
        return 100 * self.net_losses[label] / max(self.class_images[label], 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """Size and speed of a model. Latency is the median per face on one thread of this machine, in milliseconds."""

    bytes: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Float against int8.

    Attributes:
        measurements: one per label set of the same images; the first decides whether the bundle passes.
        distribution: mean int8 probability of each label.
        float32: cost of the same network as float TFLite.
        int8: cost of the int8 model.
        macs: multiply-accumulates per face.
    """

    measurements: tuple[Measurement, ...]
    distribution: dict[str, float]
    float32: Cost
    int8: Cost
    macs: int


def compare(model: keras.Model, bundle: Bundle, labellings: Sequence[LabelledFaces]) -> Comparison:
    """Run both models on a split with each label set; the first set decides."""
    int8 = predict_bundle(Classifier(bundle))
    runs = [(faces, predict(model, faces.images), int8(faces.images)) for faces in labellings]
    faces, _, ints = runs[0]
    return Comparison(
        measurements=tuple(_measure(*run) for run in runs),
        distribution={
            label: round(float(share), 4)
            for label, share in zip(bundle.manifest.labels, ints.mean(axis=0), strict=True)
        },
        float32=cost(convert(model, faces.images[:1], "float32"), faces.images),
        int8=cost(bundle.model, faces.images),
        macs=count_macs(model),
    )


def cost(content: bytes, images: npt.NDArray[np.uint8], passes: int = 300) -> Cost:
    """Measure size and latency of a `.tflite` model with any input type."""
    interpreter = open_interpreter(content)
    spent = []
    for image in np.resize(images, (passes, *images.shape[1:])):
        feed(interpreter, image)
        start = time.perf_counter()
        interpreter.invoke()
        spent.append(time.perf_counter() - start)
    return Cost(len(content), round(1000 * float(np.median(spent)), 4))


def _measure(faces: LabelledFaces, floats: Scores, ints: Scores) -> Measurement:
    right_before, right_after = floats.argmax(axis=1) == faces.classes, ints.argmax(axis=1) == faces.classes
    lost = right_before.astype(int) - right_after.astype(int)
    difference = np.abs(floats - ints)
    return Measurement(
        accuracy=_accuracy(faces, floats, ints),
        interval_float=accuracy_interval(right_before),
        interval_int8=accuracy_interval(right_after),
        drop=paired_drop(right_before, right_after),
        net_losses={label: int(lost[faces.classes == index].sum()) for index, label in enumerate(faces.labels)},
        class_images={label: int((faces.classes == index).sum()) for index, label in enumerate(faces.labels)},
        agreement=float((floats.argmax(axis=1) == ints.argmax(axis=1)).mean()),
        mean_difference=float(difference.mean()),
        max_difference=float(difference.max()),
        ece_float=calibration_error(floats, faces.classes),
        ece_int8=calibration_error(ints, faces.classes),
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
