"""What a usage record says: its periods added up by local hour, day or week."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from fer_edge.errors import ConfigError
from fer_edge.labels import FERPLUS8, UNCERTAIN
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import Row

Span = Literal["hour", "day", "week"]

# Columns of labels in this order; labels that a model of one's own adds come after them.
_ORDER = (*FERPLUS8, UNCERTAIN)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Group:
    """All periods of one local hour, day or week.

    Attributes:
        start: local time with its offset from UTC.
        seconds: for how long there is a record.
        models: name@version of the models that read the faces.
        period: the counts.
    """

    start: datetime
    seconds: int
    models: tuple[str, ...]
    period: Period

    def as_dict(self) -> dict[str, Any]:
        """Plain values; means are as exact as the histograms' bins."""
        period = self.period
        return {
            "start": self.start.isoformat(),
            "recorded_s": self.seconds,
            "model": ", ".join(self.models),
            "frames": period.frames,
            "dropped": period.dropped,
            "people": period.people,
            "face_s": {label: round(period.face_s[label], 1) for label in ordered_labels([self])},
            "visits": {label: period.visits[label] for label in ordered_labels([self])},
            "means": {name: _rounded(FEATURES[name].mean(period.histograms[name])) for name in FEATURES},
            "hottest_celsius": period.hottest,
            "camera_losses": period.camera_losses,
            "camera_lost_s": round(period.camera_lost_s, 1),
            "clock_step_s": round(period.clock_step_s, 1),
        }


def parse_since(text: str, now: datetime) -> datetime:
    """`7d`, `36h`, `2w`, `30m` before now, or a date as in 2026-11-27. Raises ConfigError."""
    match = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    if match:
        return now - int(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise ConfigError(
            f"--since {text}: expected a time span such as 7d or 36h, or a date such as 2026-11-27"
        ) from None


def group_rows(rows: Iterable[Row], span: Span) -> list[Group]:
    """Add periods up by the local hour, day or week (from Monday) in which they begin, in order of time."""
    groups: dict[datetime, tuple[int, list[str], Period]] = {}
    for row in rows:
        start = _start_of(datetime.fromtimestamp(row.start).astimezone(), span)
        seconds, models, total = groups.get(start, (0, [], Period()))
        total.add(row.period)
        name = f"{row.model.name}@{row.model.version}"
        groups[start] = (seconds + row.seconds, models if name in models else [*models, name], total)
    return [Group(start, seconds, tuple(models), total) for start, (seconds, models, total) in sorted(groups.items())]


def ordered_labels(groups: Sequence[Group]) -> list[str]:
    """The labels that were shown, in the usual order."""
    known = {label for group in groups for label in group.period.face_s}
    return [label for label in _ORDER if label in known] + sorted(known - set(_ORDER))


def as_csv(groups: Sequence[Group]) -> str:
    """One row per group: plain counts, then seconds and visits per label, then means per feature."""
    labels = ordered_labels(groups)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    plain = ("start", "recorded_s", "model", "frames", "dropped", "people", "hottest_celsius")
    lost = ("camera_losses", "camera_lost_s", "clock_step_s")
    per_label = [f"{what}_{label}" for what in ("face_s", "visits") for label in labels]
    writer.writerow([*plain, *lost, *per_label, *(f"mean_{name}" for name in FEATURES)])
    for group in groups:
        row = group.as_dict()
        counts = [row[what].get(label, 0) for what in ("face_s", "visits") for label in labels]
        writer.writerow([*(row[name] for name in (*plain, *lost)), *counts, *row["means"].values()])
    return text.getvalue()


def _start_of(moment: datetime, span: Span) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if span == "hour":
        return hour
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).astimezone()
    if span == "day":
        return day
    monday = day.replace(tzinfo=None) - timedelta(days=day.weekday())
    return monday.astimezone()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
