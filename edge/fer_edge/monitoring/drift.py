"""Detect drift: compare histograms of recent faces with those of a reference week.

Population stability index (PSI) and its thresholds 0.1 and 0.25: Siddiqi, "Credit Risk Scorecards", 2006. Its size by
chance alone: Yurdakul, "Statistical properties of the population stability index", 2018. Jensen-Shannon distance:
Endres and Schindelin, 2003, doi:10.1109/TIT.2003.813506.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fer_edge.monitoring.histograms import FACE_FEATURES, Feature
from fer_edge.monitoring.period import Period

State = Literal["ok", "watch", "drifted", "too little data"]
Histogram = npt.NDArray[np.float64]

# From these PSI values beyond chance on, a feature is watched or has drifted. A state ends only below `_RELEASE` times
# its threshold.
WATCH, DRIFTED = 0.1, 0.25
_RELEASE = 0.7
# A comparison needs this many faces and people on each side.
LEAST_SAMPLES, LEAST_PEOPLE = 300, 10
# This is added to each bin's count, so that an empty bin gives no infinite distance.
_SMOOTHING = 0.5
# A difference is not chance if it is this many times as large as the differences between days of the reference.
_DAY_FACTOR = 2.0
# Bins are merged into this many groups of about equal counts.
_GROUPS = 5

# These sentences describe a feature whose mean is higher or lower than before.
_DIRECTIONS = {
    "confidence": ("labels are surer", "labels are less sure"),
    "entropy": ("expressions are more mixed", "expressions are clearer"),
    "size": ("faces are larger", "faces are smaller"),
    "brightness": ("faces are brighter", "faces are darker"),
    "contrast": ("faces have more contrast", "faces have less contrast"),
    "sharpness": ("faces are sharper", "faces are less sharp"),
    "score": ("the detector is surer", "the detector is less sure"),
}


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How one feature compares with the reference.

    Attributes:
        name: name of the feature.
        psi: population stability index, 0 if equal.
        by_chance: the PSI that is expected without drift.
        distance: Jensen-Shannon distance, 0..1.
        before: mean in the reference, in the feature's unit.
        now: mean of the recent faces.
    """

    name: str
    psi: float
    by_chance: float
    distance: float
    before: float
    now: float

    @property
    def excess(self) -> float:
        """PSI beyond chance; 0 or more."""
        return max(self.psi - self.by_chance, 0.0)

    @property
    def sentence(self) -> str:
        """Describe the change."""
        higher, lower = _DIRECTIONS[self.name]
        return higher if self.now > self.before else lower


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The comparison of recent faces with a reference.

    Attributes:
        state: `ok`, `watch`, `drifted` or `too little data`.
        features: by how much each changed, the largest change first; empty with too little data.
        reason: one line for people.
    """

    state: State
    features: tuple[FeatureDrift, ...]
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def psi(one: Histogram, other: Histogram) -> float:
    """Population stability index of two histograms of counts, shape (B,) each."""
    p, q = _fractions(one), _fractions(other)
    return float(((p - q) * np.log(p / q)).sum())


def js_distance(one: Histogram, other: Histogram) -> float:
    """Jensen-Shannon distance of two histograms of counts, shape (B,) each: 0 if equal, 1 if disjoint."""
    p, q = _fractions(one), _fractions(other)
    middle = (p + q) / 2
    divergence = ((p * np.log2(p / middle)).sum() + (q * np.log2(q / middle)).sum()) / 2
    return math.sqrt(max(float(divergence), 0.0))


def compare(reference: Sequence[Period], recent: Sequence[Period], before: State = "ok") -> DriftReport:
    """Compare recent faces with a reference, in the features that it has.

    Args:
        reference: one period per day; differences between these days are no drift.
        recent: the last days, one period each. A feature must drift on each of them, in one direction.
        before: the previous state, for hysteresis.
    """
    whole = _sum(reference)
    for period, what in ((whole, "the reference"), *((day, "one of the last days") for day in recent)):
        samples = _samples(period)
        if samples < LEAST_SAMPLES or period.people < LEAST_PEOPLE:
            reason = (
                f"{what}: {samples} samples of {period.people} people; {LEAST_SAMPLES} of {LEAST_PEOPLE} are needed"
            )
            return DriftReport("too little data", (), reason)
    days = [day for day in reference if _samples(day) >= LEAST_SAMPLES]
    known = [feature for feature in FACE_FEATURES if whole.histograms[feature.name]]
    drifts = [_lasting_drift(feature, days, whole, recent) for feature in known]
    drifts.sort(key=lambda drift: -drift.excess)
    state = _state(drifts[0].excess, before)
    changed = [drift for drift in drifts if drift.excess >= (WATCH if state != "ok" else math.inf) * _RELEASE]
    return DriftReport(state, tuple(drifts), ", ".join(map(_describe, changed)) or "as in the reference")


def _state(excess: float, before: State) -> State:
    if excess >= DRIFTED * (_RELEASE if before == "drifted" else 1):
        return "drifted"
    return "watch" if excess >= WATCH * (_RELEASE if before in {"watch", "drifted"} else 1) else "ok"


def _lasting_drift(feature: Feature, days: Sequence[Period], whole: Period, recent: Sequence[Period]) -> FeatureDrift:
    """The smallest drift of the recent days; none if their directions differ."""
    drifts = [_feature_drift(feature, days, whole, day) for day in recent]
    smallest = min(drifts, key=lambda drift: drift.excess)
    one_way = len({drift.sentence for drift in drifts}) == 1
    return smallest if one_way else replace(smallest, by_chance=max(smallest.psi, smallest.by_chance))


def _feature_drift(feature: Feature, days: Sequence[Period], whole: Period, recent: Period) -> FeatureDrift:
    groups = _equal_groups(_histogram(feature, whole))
    reference, now = (_histogram(feature, period, groups) for period in (whole, recent))
    return FeatureDrift(
        feature.name,
        psi(now, reference),
        _by_chance([_histogram(feature, day, groups) for day in days], reference, whole.people, recent.people),
        js_distance(now, reference),
        feature.mean(whole.histograms[feature.name]) or 0.0,
        feature.mean(recent.histograms[feature.name]) or 0.0,
    )


def _equal_groups(reference: Histogram) -> list[int]:
    """The first bins of groups that each hold about a fifth of the reference: fewer bins have less noise."""
    starts, held = [0], 0.0
    for index, count in enumerate(reference[:-1]):
        held += count
        if held >= reference.sum() / _GROUPS and reference[index + 1 :].sum() >= reference.sum() / (2 * _GROUPS):
            starts.append(index + 1)
            held = 0.0
    return starts


def _by_chance(days: Sequence[Histogram], reference: Histogram, people_before: int, people_now: int) -> float:
    """The PSI that is expected without drift.

    One person is sampled many times, so people count as samples, not faces; and only half of them, since some stay
    longer than others. Chance then gives (B - 1)(1/n + 1/m) for B bins, plus 2 standard deviations. Also, each day of
    the reference differs from the other days, by the weather and the visitors.
    """
    freedom = max(len(reference) - 1, 1)
    by_people = (2 / people_before + 2 / people_now) * (freedom + 2 * math.sqrt(2 * freedom))
    among_days = [psi(day, reference - day) for day in days] if len(days) > 1 else []
    return max([by_people, *(_DAY_FACTOR * difference for difference in among_days)])


def _describe(drift: FeatureDrift) -> str:
    return f"{drift.sentence} ({drift.name} {drift.before:.3g} -> {drift.now:.3g}, PSI {drift.psi:.2f})"


def _samples(period: Period) -> int:
    return period.histograms["brightness"].total()


def _sum(periods: Sequence[Period]) -> Period:
    whole = Period()
    for period in periods:
        whole.add(period)
    return whole


def _histogram(feature: Feature, period: Period, groups: Sequence[int] | None = None) -> Histogram:
    counts = period.histograms[feature.name]
    bins = np.array([counts[index] for index in range(len(feature.edges) + 1)], np.float64)
    return bins if groups is None else np.asarray(np.add.reduceat(bins, groups), np.float64)


def _fractions(counts: Histogram) -> Histogram:
    smoothed = np.maximum(counts, 0) + _SMOOTHING
    return np.asarray(smoothed / smoothed.sum(), np.float64)
