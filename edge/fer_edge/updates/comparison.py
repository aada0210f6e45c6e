"""Compare a new model with the one before it on the same faces."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median

import cv2
import numpy as np

from fer_edge.model.classifier import Classifier
from fer_edge.model.manifest import Manifest
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.expected_accuracy import chance_right
from fer_edge.types import Image, Prediction

# So many faces are compared before a trial can end.
LEAST_FACES = 120
# How much lower the expected accuracy may be, and how much more frequent `uncertain`.
_ACCURACY_MARGIN, _UNCERTAIN_MARGIN = 0.05, 0.10
# If two models are right on a and b of the faces, they agree on a + b - 1 of them at least (Bonferroni's inequality).
# Less by more than this margin means that one of them is not as good as it believes; the old one is trusted. In any
# case they agree on the smallest share: the four shipped models agree on 0.55 to 0.99, also of corrupted faces, and
# exceed that bound by 0.17 at least (600 faces of FER2013's PublicTest; clean, dark, blurred, noisy, small).
_AGREEMENT_MARGIN, _LEAST_AGREEMENT = 0.10, 0.40
# The share of the frames per second that must be left.
_LEAST_SPEED = 0.8


@dataclass(slots=True)
class _Sums:
    """Of one model: chance of being right, labels that are uncertain, milliseconds of each face."""

    right: float = 0.0
    uncertain: int = 0
    ms: list[float] = field(default_factory=list)


class Comparison:
    """Runs both models on faces and keeps sums, no face."""

    def __init__(
        self, new: tuple[Classifier, Manifest], old: tuple[Classifier, Manifest], uncertain_below: float
    ) -> None:
        """Prepare.

        Args:
            new: the model on trial.
            old: the model that was in use before it.
            uncertain_below: confidence below which a label is uncertain.
        """
        self._new, self._old = new, old
        self._uncertain_below = uncertain_below
        self._sums = {"new": _Sums(), "old": _Sums()}
        self._both_estimate = new[1].reference is not None and old[1].reference is not None
        self.faces = 0
        self._agreed = 0

    @property
    def is_possible(self) -> bool:
        """Whether one grey crop serves both models."""
        new, old = self._new[1], self._old[1]
        return new.crop_margin == old.crop_margin and new.preprocessing.colour == old.preprocessing.colour == "grey"

    def add(self, crop: Image) -> None:
        """Compare the models on one crop in the new model's input size."""
        new = self._run("new", self._new, crop)
        size = self._old[0].input_size
        resized = np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        old = self._run("old", self._old, resized)
        self.faces += 1
        self._agreed += new.label == old.label

    def problem(self) -> str | None:
        """Why the new model is worse; None if it is not, or too few faces were compared."""
        if self.faces < LEAST_FACES:
            return None
        new, old = self._sums["new"], self._sums["old"]
        right, before = new.right / self.faces, old.right / self.faces
        if right < before - _ACCURACY_MARGIN:
            return f"its expected accuracy is {right:.0%}, and {before:.0%} with the model before, on the same faces"
        share, share_before = new.uncertain / self.faces, old.uncertain / self.faces
        if share > share_before + _UNCERTAIN_MARGIN:
            return f"{share:.0%} of its labels are uncertain, and {share_before:.0%} of the model's before"
        agreed = self._agreed / self.faces
        if agreed < max(right + before - 1 - _AGREEMENT_MARGIN, _LEAST_AGREEMENT):
            return f"it agrees with the model before on {agreed:.0%} of the faces, too few for two good models"
        return None

    def speed_problem(self, frame_ms: float, faces_per_frame: float, limit: float) -> str | None:
        """Why it is too slow; None if it is not, or too few faces were compared.

        Args:
            frame_ms: milliseconds per frame of the loop with the new model.
            faces_per_frame: that are classified.
            limit: frames per second that the camera delivers, or that are wanted.
        """
        if self.faces < LEAST_FACES or not frame_ms:
            return None
        slower_ms = median(self._sums["new"].ms) - median(self._sums["old"].ms)  # whatever else the machine does
        now = min(1000 / frame_ms, limit)
        before = min(1000 / max(frame_ms - faces_per_frame * slower_ms, 1e-3), limit)
        if now < _LEAST_SPEED * before:
            return f"it allows {now:.1f} frames per second, and the model before {before:.1f}"
        return None

    def _run(self, which: str, model: tuple[Classifier, Manifest], crop: Image) -> Prediction:
        classifier, manifest = model
        classifier.predict(crop)  # the second time counts: the weights are in the cache, as they are in a run
        began = time.perf_counter()
        prediction = classifier.predict(crop)
        sums = self._sums[which]
        sums.ms.append(1000 * (time.perf_counter() - began))
        sums.uncertain += prediction.confidence < self._uncertain_below
        reference = manifest.reference
        sums.right += (
            chance_right(reference.estimate, prediction.confidence, crop_statistics(crop))
            if self._both_estimate and reference
            else prediction.confidence
        )
        return prediction
