"""How often labels can be expected to be right, without any label from a person.

Confidence-based performance estimation: the mean of calibrated probabilities (Guillory et al., 2021,
arXiv:2107.03315, call it average confidence; NannyML: CBPE). A model is overconfident on corrupted faces, so the
probability is corrected by contrast and sharpness of the crop, fitted on corrupted faces by `fer-quantize`.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fer_edge.model.reference import AccuracyEstimate, Reference
from fer_edge.monitoring.drift import LEAST_PEOPLE, LEAST_SAMPLES
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period

_log = logging.getLogger(__name__)

# The feature of the usage record that holds the chance of each face.
FEATURE = "expected"
INPUTS = ("brightness", "contrast", "sharpness")
# A face lies outside where fewer than this share of the reference's faces lie lower, or higher. If more than so many
# faces do, the estimate is not trusted: far from the reference it is too high (results/expected-accuracy).
_TAIL, _MOST_OUTSIDE = 0.03, 0.5
_SUREST = 0.999
# Below these contrast and sharpness count twice: log(1 + grey levels), and log of sharpness per squared contrast.
_LOW_CONTRAST, _BLURRED = 2.7, -1.0
# Of the normal distribution, for intervals of 95 %.
_Z = 1.959964

_WORDS = {
    "brightness": ("brighter", "darker"),
    "contrast": ("of higher contrast", "of lower contrast"),
    "sharpness": ("sharper or noisier", "less sharp"),
}


@dataclass(frozen=True, slots=True)
class ExpectedAccuracy:
    """What is to be expected of recent faces.

    Attributes:
        accuracy: share of labels of single pictures that should be right, 0..1.
        low: of the 95 % interval, which holds chance and the estimate's own error.
        high: the same.
        trusted: whether the faces look like those that the model was measured on.
        reason: one line for people.
    """

    accuracy: float
    low: float
    high: float
    trusted: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def terms(confidence: float, contrast: float, sharpness: float) -> dict[str, float]:
    """What the regression reads of one face.

    Args:
        confidence: probability of the label, 0..1.
        contrast: standard deviation of the crop in grey levels.
        sharpness: variance of its Laplacian.
    """
    sure = min(max(confidence, 1 - _SUREST), _SUREST)
    deviation = math.log1p(contrast)
    relative = math.log1p(sharpness) - 2 * deviation
    return {
        "logit": math.log(sure / (1 - sure)),
        "contrast": deviation,
        "low_contrast": min(deviation, _LOW_CONTRAST),
        "sharpness": relative,
        "blur": min(relative, _BLURRED),
    }


def usable(reference: Reference | None) -> Reference | None:
    """Return a reference, or None, with a line in the log, if another version of fer-edge made it for other terms."""
    if reference is None:
        return None
    known = terms(0.5, 1.0, 1.0).keys() >= reference.estimate.weights.keys()
    bins = all(
        name in FEATURES and all(0 <= index <= len(FEATURES[name].edges) for index in counts)
        for name, counts in reference.histograms.items()
    )
    if known and bins and all(reference.histograms.get(name) for name in INPUTS):
        return reference
    _log.warning("the model's reference is of another version of fer-edge: no accuracy is expected. Convert it again")
    return None


def chance_right(estimate: AccuracyEstimate, confidence: float, statistics: Mapping[str, float]) -> float:
    """The chance that the label of one face is right, 0..1; `statistics` as `crop_statistics` gives them."""
    found = terms(confidence, statistics["contrast"], statistics["sharpness"])
    total = estimate.bias + sum(weight * found[name] for name, weight in estimate.weights.items())
    return 1 / (1 + math.exp(-min(max(total, -30.0), 30.0)))


def expected_accuracy(recent: Sequence[Period], reference: Reference) -> ExpectedAccuracy | None:
    """What to expect of the faces of these periods; None with too few faces or people."""
    whole = Period()
    for period in recent:
        whole.add(period)
    accuracy = FEATURES[FEATURE].mean(whole.histograms[FEATURE])
    if accuracy is None or whole.histograms[FEATURE].total() < LEAST_SAMPLES or whole.people < LEAST_PEOPLE:
        return None
    # The pictures of one person resemble one another, so people count.
    half = _Z * math.sqrt(accuracy * (1 - accuracy) / whole.people + reference.estimate.error**2)
    outside = {name: outside_share(name, whole.histograms[name], reference) for name in INPUTS}
    worst = max(outside, key=lambda name: outside[name])
    trusted = is_usual(outside.values())
    low, high = max(accuracy - half, 0.0), min(accuracy + half, 1.0)
    return ExpectedAccuracy(accuracy, low, high, trusted, _reason(whole, reference, worst, outside[worst], trusted))


def outside_share(name: str, counts: Counter[int], reference: Reference) -> float:
    """The share of faces whose feature lies in bins where hardly any face of the reference does."""
    usual, total, below = reference.histograms[name], sum(reference.histograms[name].values()), 0
    outside = 0
    for index in range(len(FEATURES[name].edges) + 1):
        here = usual.get(index, 0)
        if below + here <= _TAIL * total or below > (1 - _TAIL) * total:
            outside += counts[index]
        below += here
    return outside / max(counts.total(), 1)


def is_usual(shares: Iterable[float]) -> bool:
    """Whether faces with such shares outside look enough like the reference for the estimate to be trusted."""
    return max(shares) <= _MOST_OUTSIDE


def _reason(whole: Period, reference: Reference, worst: str, outside: float, trusted: bool) -> str:
    if trusted:
        return "faces look like those that the model was measured on"
    now = FEATURES[worst].mean(whole.histograms[worst]) or 0.0
    before = FEATURES[worst].mean(Counter(reference.histograms.get(worst, {}))) or 0.0
    words = _WORDS[worst][0 if now > before else 1]
    return f"not to be trusted: {outside:.0%} of the faces are {words} than nearly all that the model was measured on"
