"""One sampled face, with the model's prediction and a person's label."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from fer_edge.labels import FERPLUS8

SKIPPED, NO_FACE = "skipped", "not a face"
# A person may give a sample one of these answers.
ANSWERS = (*FERPLUS8, SKIPPED, NO_FACE)
ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
# These are bands of confidence with their upper limits; samples are balanced over them.
_BANDS = ((0.5, "low"), (0.8, "medium"), (1.1, "high"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One face and the model's prediction.

    Attributes:
        id: name of its files.
        taken_at: seconds since 1970, UTC.
        label: the model's label for this image alone.
        confidence: the probability of that label, 0..1.
        shown: the smoothed label that was shown at that moment.
        model: name@version.
    """

    id: str
    taken_at: int
    label: str
    confidence: float
    shown: str
    model: str

    @property
    def day(self) -> str:
        """The local date."""
        return datetime.fromtimestamp(self.taken_at).astimezone().date().isoformat()

    @property
    def stratum(self) -> str:
        """Label and band of confidence; samples are balanced over these strata."""
        return f"{self.label} {next(name for limit, name in _BANDS if self.confidence < limit)}"

    @classmethod
    def parse(cls, plain: Any) -> Self:  # noqa: ANN401 - JSON
        """Parse the result of `asdict`. Raises ValueError for anything else."""
        try:
            sample = cls(**{name: kind(plain[name]) for name, kind in _FIELDS.items()})
        except (KeyError, TypeError) as error:
            raise ValueError(f"is no sample: {error!r}") from error
        if not ID.fullmatch(sample.id) or not 0 <= sample.confidence <= 1:
            raise ValueError(f"is no sample: {sample.id}")
        return sample


_FIELDS = {"id": str, "taken_at": int, "label": str, "confidence": float, "shown": str, "model": str}


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """A sample and a person's answer, one of `ANSWERS`."""

    sample: Sample
    answer: str


def new_id(taken_at: float) -> str:
    """A unique name for a sample: the time in UTC and a random number."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(taken_at)) + f"-{os.urandom(3).hex()}"
