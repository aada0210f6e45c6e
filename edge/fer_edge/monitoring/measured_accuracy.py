"""Measure the model's accuracy on this device, by the labels that its owner gave to samples.

Interval: Wilson, 1927, doi:10.1080/01621459.1927.10502953. Samples are balanced, so each is weighted by the number of
faces that were seen of its kind (post-stratification). The interval uses the effective number of samples (Kish, 1965).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fer_edge.labels import FERPLUS8
from fer_edge.monitoring.sample import NO_FACE, SKIPPED, LabelledSample

# This is the 97.5th percentile of the normal distribution, for 95 % intervals.
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured fraction, 0..1, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MeasuredAccuracy:
    """The accuracy of a model on labelled samples.

    Attributes:
        model: name@version.
        first_day: local date of the oldest sample.
        last_day: local date of the newest sample.
        labelled: faces with a label.
        no_faces: samples that show no face.
        skipped: samples that a person could not label.
        accuracy: accuracy on faces as they occur on this device; None without labels.
        of_samples: accuracy on the balanced samples.
        confidence: mean confidence on faces as they occur.
        recall: recall per given label.
        confusion: counts per given label (outer key) and predicted label (inner key).
    """

    model: str
    first_day: str
    last_day: str
    labelled: int
    no_faces: int
    skipped: int
    accuracy: Rate | None
    of_samples: Rate | None
    confidence: float | None
    recall: Mapping[str, Rate]
    confusion: Mapping[str, Mapping[str, int]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def wilson(right: float, count: float) -> Rate:
    """The fraction `right` / `count` (above 0; need not be whole) with its 95 % Wilson score interval."""
    share = right / count
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return Rate(share, max(centre - half, 0.0), min(centre + half, 1.0))


def measure(labelled: Iterable[LabelledSample], seen: Mapping[str, Mapping[str, int]]) -> MeasuredAccuracy | None:
    """Measure the model of the newest sample; None without any answer.

    A label that the model does not have, such as contempt of seven classes, is always wrong.

    Args:
        labelled: the labelled samples.
        seen: number of faces per day and stratum.
    """
    answers = sorted(labelled, key=lambda one: one.sample.taken_at)
    if not answers:
        return None
    model = answers[-1].sample.model
    answers = [one for one in answers if one.sample.model == model]
    faces = [one for one in answers if one.answer not in {SKIPPED, NO_FACE}]
    weights = _weights(faces, answers, seen)
    confusion: dict[str, Counter[str]] = {}
    for one in faces:
        confusion.setdefault(one.answer, Counter())[one.sample.label] += 1
    given = [label for label in FERPLUS8 if label in confusion]
    return MeasuredAccuracy(
        model,
        answers[0].sample.day,
        answers[-1].sample.day,
        len(faces),
        sum(one.answer == NO_FACE for one in answers),
        sum(one.answer == SKIPPED for one in answers),
        _accuracy(faces, weights),
        _accuracy(faces, [1.0] * len(faces)),
        _mean([one.sample.confidence for one in faces], weights),
        {label: wilson(confusion[label][label], confusion[label].total()) for label in given},
        {label: dict(confusion[label]) for label in given},
    )


def by_month(labelled: Iterable[LabelledSample], seen: Mapping[str, Mapping[str, int]]) -> dict[str, MeasuredAccuracy]:
    """Measure each local month, such as 2026-11, in order of time."""
    months: dict[str, list[LabelledSample]] = {}
    for one in sorted(labelled, key=lambda one: one.sample.taken_at):
        months.setdefault(one.sample.day[:7], []).append(one)
    measured = {month: measure(answers, seen) for month, answers in months.items()}
    return {month: one for month, one in measured.items() if one is not None}


def _weights(
    faces: Sequence[LabelledSample], answers: Sequence[LabelledSample], seen: Mapping[str, Mapping[str, int]]
) -> list[float]:
    """The number of faces that each labelled one represents: those of its stratum, on the labelled days."""
    total: Counter[str] = Counter()
    for day in {one.sample.day for one in answers}:
        total.update(seen.get(day, {}))
    labelled = Counter(one.sample.stratum for one in faces)
    return [max(total[one.sample.stratum] / labelled[one.sample.stratum], 1.0) for one in faces]


def _accuracy(faces: Sequence[LabelledSample], weights: Sequence[float]) -> Rate | None:
    right = _mean([float(one.answer == one.sample.label) for one in faces], weights)
    if right is None:
        return None
    effective = sum(weights) ** 2 / sum(weight**2 for weight in weights)
    return wilson(right * effective, effective)


def _mean(values: Sequence[float], weights: Sequence[float]) -> float | None:
    total = sum(weights)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / total if total else None
