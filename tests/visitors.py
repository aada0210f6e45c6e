"""Simulated visitors: what a usage record would hold of months in front of a camera.

Each hour brings a random number of people. Each person has a brightness, size, sharpness and confidence of their own,
and is sampled once per second. Days differ by their weather, hours by the sun.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_edge.model.bundle import MODEL_FILE, find_bundle, load_bundle
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import HOUR, MINUTE, ModelIdentity, UsageStore, _pack


@dataclass(frozen=True, slots=True)
class Scene:
    """Factors by which light, face size and sharpness differ from the usual."""

    light: float = 1.0
    size: float = 1.0
    sharpness: float = 1.0


def write_hours(path: Path, hours: Sequence[Period], model: ModelIdentity, start: int) -> int:
    """Write a record of these hours; returns its end. Many minutes in one go: each alone would wait for the disk."""
    with UsageStore(path, model) as store:
        store.append(start, hours[0])
        with closing(sqlite3.connect(path)) as database, database:
            identity = database.execute("SELECT MAX(model) FROM periods WHERE start = ?", (start,)).fetchone()[0]
            rows = [(start + index * HOUR, MINUTE, identity, _pack(hour)) for index, hour in enumerate(hours)][1:]
            database.executemany("INSERT INTO periods (start, seconds, model, counts) VALUES (?, ?, ?, ?)", rows)
    return start + len(hours) * HOUR


def write_expected(path: Path) -> None:
    """Write a record of the last three days, whose faces have a chance of 0.825 to be read right."""
    hours = month(seed=1, days=3)
    for hour in hours:
        hour.histograms["expected"] = Counter({16: hour.histograms["confidence"].total()})
    manifest = load_bundle(find_bundle("ferplus7")).manifest
    identity = ModelIdentity(manifest.name, manifest.version, manifest.files[MODEL_FILE])
    write_hours(path, hours, identity, int(time.time()) - len(hours) * HOUR)


def month(seed: int, days: int = 30, changes: Mapping[int, Scene] | None = None) -> list[Period]:
    """The hours of simulated days; `changes` holds the scene from a day on."""
    rng = np.random.default_rng(seed)
    scene, hours = Scene(), []
    for day in range(days):
        scene = (changes or {}).get(day, scene)
        weather = rng.normal(0, 10)
        hours += [_hour(rng, hour, day % 7 >= 5, weather, scene) for hour in range(24)]
    return hours


def _hour(rng: np.random.Generator, hour: int, weekend: bool, weather: float, scene: Scene) -> Period:
    period = Period()
    sun = 25 * np.sin((hour - 6) / 12 * np.pi) if 6 <= hour <= 18 else -15
    rate = (3 if 8 <= hour <= 19 else 0.2) * (0.5 if weekend else 1)
    for _ in range(rng.poisson(rate)):
        period.people += 1
        count = max(int(rng.exponential(40)), 1)
        light = (120 + sun + weather) * scene.light
        brightness = np.clip(rng.normal(light + rng.normal(0, 18), 5, count), 0, 255)
        confidence = np.clip(rng.normal(0.75 + rng.normal(0, 0.1), 0.12, count), 0.15, 0.999)
        values = {
            "brightness": brightness,
            "contrast": np.clip(rng.normal(brightness.mean() * 0.33 + rng.normal(0, 5), 3, count), 1, 95),
            "sharpness": np.exp(rng.normal(np.log(60 * scene.sharpness) + rng.normal(0, 0.6), 0.3, count)),
            "size": np.exp(rng.normal(np.log(80 * scene.size) + rng.normal(0, 0.4), 0.1, count)),
            "confidence": confidence,
            "entropy": 1 - confidence,
            "score": np.clip(rng.normal(0.7 + rng.normal(0, 0.08), 0.05, count), 0, 0.99),
        }
        for name, sampled in values.items():
            bins, counts = np.unique(np.searchsorted(FEATURES[name].edges, sampled, side="right"), return_counts=True)
            period.histograms[name].update(dict(zip(bins.tolist(), counts.tolist(), strict=True)))
    return period
