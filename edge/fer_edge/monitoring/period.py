"""The counts of one period: a minute, or a longer time when periods are added."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Self

from fer_edge.monitoring.histograms import FEATURES

# These numbers of periods are simply added.
_COUNTS = ("frames", "dropped", "people", "camera_losses", "camera_lost_s", "clock_step_s")


@dataclass(slots=True)
class Period:
    """What was seen in one period.

    Attributes:
        frames: processed frames.
        dropped: dropped frames of a live source.
        people: new tracks.
        camera_losses: how often the camera was lost.
        camera_lost_s: seconds without a camera.
        clock_step_s: seconds by which the system's clock was set forward, or back if negative.
        face_s: seconds per shown label, summed over faces; `uncertain` is a label too.
        visits: tracks per label, each track once per label.
        histograms: values per bin, by feature.
        hottest: the board's highest temperature in degrees Celsius; None if unknown.
    """

    frames: int = 0
    dropped: int = 0
    people: int = 0
    camera_losses: int = 0
    camera_lost_s: float = 0.0
    clock_step_s: float = 0.0
    face_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    visits: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in FEATURES})
    hottest: float | None = None

    def observe(self, feature: str, value: float) -> None:
        """Add one value to a feature's histogram."""
        self.histograms[feature][FEATURES[feature].bin_of(value)] += 1

    def add(self, other: Self) -> None:
        """Add another period's counts to these."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for label, seconds in other.face_s.items():
            self.face_s[label] += seconds
        self.visits.update(other.visits)
        for name, counts in other.histograms.items():
            self.histograms[name].update(counts)
        known = [reading for reading in (self.hottest, other.hottest) if reading is not None]
        self.hottest = max(known, default=None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened at all."""
        return self == Period()

    def as_json(self) -> str:
        """One compact JSON object without zero and empty values."""
        plain: dict[str, Any] = {name: round(getattr(self, name), 3) for name in _COUNTS if getattr(self, name)}
        if self.face_s:
            plain["face_s"] = {label: round(seconds, 1) for label, seconds in self.face_s.items()}
        if self.visits:
            plain["visits"] = dict(self.visits)
        histograms = {name: dict(sorted(counts.items())) for name, counts in self.histograms.items() if counts}
        if histograms:
            plain["histograms"] = histograms
        if self.hottest is not None:
            plain["hottest"] = round(self.hottest, 1)
        return json.dumps(plain, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the result of `as_json`. Raises ValueError for anything else."""
        try:
            plain = json.loads(text)
            period = cls(**{name: plain[name] for name in _COUNTS if name in plain})
            period.face_s.update(plain.get("face_s", {}))
            period.visits.update(plain.get("visits", {}))
            for name, counts in plain.get("histograms", {}).items():
                period.histograms[name].update({int(index): int(count) for index, count in counts.items()})
            period.hottest = plain.get("hottest")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"is no period of a usage record: {error}") from error
        return period
