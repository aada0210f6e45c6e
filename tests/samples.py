"""Folders of samples for tests: composite faces, as if a device had kept them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fer_edge.assets.composites import load_composites
from fer_edge.monitoring.sample import Sample
from fer_edge.monitoring.samples import SampleFolder

NOON = int(datetime(2026, 6, 1, 12).astimezone().timestamp())
DAY = 86400


def make_folder(
    path: Path,
    read_as: Sequence[tuple[str, float]],
    *,
    per_day: int = 10,
    model: str = "ferplus7@0.1.0",
) -> tuple[SampleFolder, list[Sample]]:
    """A folder with one sample per (label, confidence) that the model gave."""
    folder, faces, samples = SampleFolder(path), list(load_composites().values()), []
    folder.create()
    seen: dict[str, Counter[str]] = {}
    for index, (label, confidence) in enumerate(read_as):
        taken_at = NOON + index // per_day * DAY + index % per_day * 60
        sample = Sample(f"20260601T{index:06d}Z-{index:06x}", taken_at, label, confidence, label, model)
        folder.add(sample, faces[index % len(faces)])
        seen.setdefault(sample.day, Counter())[sample.stratum] += 1
        samples.append(sample)
    folder.write_seen(seen)
    return folder, samples
