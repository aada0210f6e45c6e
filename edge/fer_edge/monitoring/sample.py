"""One sampled face: what the model said of it, and what a person said."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from fer_edge.labels import FERPLUS8

SKIPPED, NO_FACE = "skipped", "not a face"
# What a person may say of a sample.
ANSWERS = (*FERPLUS8, SKIPPED, NO_FACE)
ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
# Confidence below the first, below the second, and above: a sample has as many of each as it can.
_BANDS = ((0.5, "low"), (0.8, "medium"), (1.1, "high"))


@dataclass(frozen=True, slots=True)
class Sample:
    """What the model said of one face.

    Attributes:
        id: its files' name.
        taken_at: seconds since 1970, UTC.
        label: the model's, of this picture alone.
        confidence: the probability of that label, 0..1.
        shown: the steadied label that was shown at that moment.
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
        """Label and band of confidence, by which samples are balanced."""
        return f"{self.label} {next(name for limit, name in _BANDS if self.confidence < limit)}"

    @classmethod
    def parse(cls, plain: Any) -> Self:  # noqa: ANN401 - JSON
        """Read what `asdict` gave. Raises ValueError where it is something else."""
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
    """A sample and what a person saw in it: one of `ANSWERS`."""

    sample: Sample
    answer: str


def new_id(taken_at: float) -> str:
    """A name for a sample: the time in UTC, and chance, so that two never share one."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(taken_at)) + f"-{os.urandom(3).hex()}"
