"""Decide whether a measured model may ship: the loss by int8, its accuracy, and a comparison with another model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from fer_edge.errors import ModelError
from fer_edge.model.bundle import Bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.manifest import Calibration
from fer_quantize.check import Comparison, Measurement
from fer_quantize.statistics import PairedDrop, paired_drop
from fer_quantize.temperature_scaling import TEMPERATURES
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.predictors import predict_bundle

# Two frameworks may differ by this much accuracy on one model.
_SAME_MODEL = 0.003
# A result counts as chance if its p-value is above this.
_SIGNIFICANT = 0.05
# Check sets with fewer faces get a warning.
_FEW_FACES = 200
# Total variation distance between the class shares of the check set and of the training data that is warned of.
_OTHER_SHARES = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the check, in percentage points.

    Attributes:
        drop: accuracy that int8 may lose.
        class_drop: recall of a class that int8 may lose. One lost face is always allowed.
        min_accuracy: lowest accuracy of the int8 model.
    """

    drop: float
    class_drop: float
    min_accuracy: float = 0.0


@dataclass(frozen=True, slots=True)
class Rival:
    """Another int8 model on the same faces.

    Attributes:
        name: name of its bundle.
        accuracy: its accuracy, 0..1.
        loss: accuracy that the tested model loses against it, paired face by face.
    """

    name: str
    accuracy: float
    loss: PairedDrop


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a conversion or a check.

    Attributes:
        folder: folder of the bundle.
        comparison: the measurement.
        calibration: how the model was calibrated; None if it was not.
        gated: whether limits were set.
        refusal: why the bundle must not ship; None if it may.
        cautions: warnings about the figures.
        rival: the comparison with another bundle, if one was named.
        written: whether the bundle was written.
    """

    folder: Path
    comparison: Comparison
    calibration: Calibration | None
    gated: bool
    refusal: str | None
    cautions: tuple[str, ...]
    rival: Rival | None
    written: bool


def compare_with(bundle: Bundle, other: Bundle, faces: LabelledFaces) -> Rival:
    """Compare two int8 models on the same faces. Raises ModelError if their labels differ."""
    if other.manifest.labels != bundle.manifest.labels:
        raise ModelError(f"--against {other.folder}: its labels are {', '.join(other.manifest.labels)}. Name another")
    right = [predict_bundle(Classifier(each))(faces.images).argmax(axis=1) == faces.classes for each in (other, bundle)]
    return Rival(other.manifest.name, float(right[0].mean()), paired_drop(*right))


def gate_failure(
    comparison: Comparison, limits: Limits, trained_accuracy: float | None, rival: Rival | None = None
) -> str | None:
    """Return why a bundle must not ship, or None.

    Args:
        comparison: the measurement; its first labels decide.
        limits: the limits.
        trained_accuracy: accuracy of the float model on this split as its training recorded it; None if unknown.
        rival: a model that must not be better by more than chance (McNemar's test).
    """
    first = comparison.measurements[0]
    return (
        _another_model(first, trained_accuracy)
        or _drop_failure(first, limits)
        or _accuracy_failure(first, limits)
        or _rival_failure(rival)
    )


def cautions(comparison: Comparison, calibration: Calibration | None, prior: Mapping[str, float] | None) -> list[str]:
    """Return warnings about the figures, one sentence each.

    Args:
        comparison: the measurement.
        calibration: how the model was calibrated; None if it was not.
        prior: fraction of each label in the training data; None if unknown.
    """
    first, found = comparison.measurements[0], []
    if first.accuracy.images < _FEW_FACES:
        low, high = first.interval_int8
        found.append(
            f"only {first.accuracy.images} faces were checked: the true accuracy may be anything from {low:.0%} to "
            f"{high:.0%}. Check on {_FEW_FACES} or more"
        )
    if calibration and not TEMPERATURES[0] * 1.01 < calibration.temperature < TEMPERATURES[1] * 0.99:
        found.append(
            f"the temperature {calibration.temperature:.2f} is at its limit: the model's confidence is far from its "
            "accuracy on these faces. Look for wrong labels, or overfitting"
        )
    if prior and (label := _other_share(first, prior)):
        share = first.class_images[label] / first.accuracy.images
        found.append(
            f"the check set has other class frequencies than the training data ('{label}' {share:.0%}, there "
            f"{prior[label]:.0%}): its accuracy is not that of other faces"
        )
    return found


def _another_model(first: Measurement, trained_accuracy: float | None) -> str | None:
    measured = first.accuracy.accuracy_float
    if trained_accuracy is None or trained_accuracy - measured <= _SAME_MODEL:
        return None
    return (
        f"the float model scores {measured:.2%}, but its training recorded {trained_accuracy:.2%}: "
        "it is not the model that was trained"
    )


def _accuracy_failure(first: Measurement, limits: Limits) -> str | None:
    """Check the accuracy itself, since a model that has learnt nothing loses nothing by int8."""
    accuracy, images = first.accuracy.accuracy_int8, first.accuracy.images
    if 100 * accuracy < limits.min_accuracy:
        return f"int8 has an accuracy of {accuracy:.2%}, less than the {limits.min_accuracy:g} % asked for"
    label = max(first.class_images, key=lambda name: first.class_images[name])
    constant = first.class_images[label] / images
    chance = binomtest(round(accuracy * images), images, min(constant, 1.0), alternative="greater").pvalue
    if constant < 1 and chance > _SIGNIFICANT:
        return f"int8 has an accuracy of {accuracy:.1%}: always answering '{label}' would have {constant:.1%}"
    return None


def _drop_failure(first: Measurement, limits: Limits) -> str | None:
    if not 100 * (first.drop.lost - first.drop.gained) <= limits.drop * first.accuracy.images:
        return f"int8 loses {first.drop.drop:.2f} percentage points, more than the {limits.drop:g} allowed"
    for label, losses in first.net_losses.items():
        if losses > 1 and not 100 * losses <= limits.class_drop * first.class_images[label]:
            return (
                f"'{label}' loses {first.class_drop(label):.1f} percentage points of recall ({losses} faces), "
                f"more than the {limits.class_drop:g} allowed"
            )
    return None


def _rival_failure(rival: Rival | None) -> str | None:
    if rival is None or rival.loss.drop <= 0 or rival.loss.p_value > _SIGNIFICANT:
        return None
    return (
        f"{rival.name} is better by {rival.loss.drop:.1f} percentage points on the same faces "
        f"(McNemar p {rival.loss.p_value:.2g})"
    )


def _other_share(first: Measurement, prior: Mapping[str, float]) -> str | None:
    """The label whose share differs most, where the shares as a whole differ much."""
    differences = {
        label: abs(count / first.accuracy.images - prior.get(label, 0.0)) for label, count in first.class_images.items()
    }
    distance = float(np.sum(list(differences.values()))) / 2
    return max(differences, key=lambda label: differences[label]) if distance > _OTHER_SHARES else None
