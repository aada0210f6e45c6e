"""A month in front of a camera on the real pipeline, time compressed: when a change is noticed, and by which feature.

python -m benchmarks.drift_month

People are rendered from composite faces, with a light, a size, a sharpness and an expression of their own; days differ
by their weather, hours by the sun. On day 10 the light falls, on day 20 the camera is moved closer. Detector, tracker,
classifier, usage record and drift are the real ones. Writes docs/drift-month.png.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import matplotlib as mpl
import numpy as np
import typer
from matplotlib.figure import Figure

from fer_edge import FaceBox, Frame, Pipeline
from fer_edge.model.bundle import MODEL_FILE
from fer_edge.monitoring.drift_watch import DriftWatch
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import DAY, HOUR, ModelIdentity, UsageStore, read_rows
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sources.demo import HEIGHT, WIDTH, DemoSource, Scene
from fer_edge.types import Image

_OUT = Path(__file__).resolve().parents[1] / "docs" / "drift-month.png"
_LIGHT_FALLS, _LIGHT = 10, 0.5
_CLOSER, _SIZE = 20, 1.8
# Grey levels of the sensor's noise.
_NOISE = 3.0
# Seconds between visits at least, so that the next person is another track.
_PAUSE = 20
# A face of one pixel: the empty room.
_NOBODY = FaceBox(0, 0, 1, 1)
_SHOWN = ("brightness", "size", "sharpness", "confidence")


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state: the day with its fraction, the state and its reason."""

    day: float
    state: str
    reason: str


class Visitors:
    """Renders visitors."""

    def __init__(self, seed: int, source: DemoSource) -> None:
        self._rng = np.random.default_rng(seed)
        self._source = source
        self._labels = ("happy", "neutral", "surprise", "angry", "fear", "sad", "disgust")
        # Each image gets another part of this: drawing new noise would take longer than everything else.
        self._noise = self._rng.normal(0, _NOISE, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32)
        self._shares = (0.26, 0.36, 0.12, 0.09, 0.02, 0.14, 0.01)

    def weather(self) -> float:
        """The light of a day, as a factor."""
        return float(np.exp(self._rng.normal(0, 0.08)))

    def count(self, hour: int, weekend: bool) -> int:
        """How many come within an hour."""
        return int(self._rng.poisson((3 if 8 <= hour <= 19 else 0.2) * (0.5 if weekend else 1)))

    def visit(self, light: float, size: float) -> Iterator[Image]:
        """One image per second of one person, and an empty one after that."""
        rng = self._rng
        light *= float(np.exp(rng.normal(0, 0.15)))
        side = float(np.clip(80 * size * np.exp(rng.normal(0, 0.35)), 40, 400))
        blur = float(rng.uniform(0.3, 1.2) * side / 80)
        label = str(rng.choice(self._labels, p=self._shares))
        edge = 0.1 * side
        most = np.array([WIDTH, HEIGHT]) - side - edge
        place = rng.uniform(edge, most)
        for _ in range(4 + min(int(rng.exponential(26)), 120)):
            place = np.clip(place + rng.normal(0, 0.02 * side, 2), edge, most)
            box = FaceBox(float(place[0]), float(place[1]), side, side)
            yield self._taken(self._render(label, box), light, blur)
        yield self._taken(self._render(label, _NOBODY), light, blur)

    def _render(self, label: str, box: FaceBox) -> Image:
        return self._source.render(Scene(label, label, 0.0, box))

    def _taken(self, image: Image, light: float, blur: float) -> Image:
        """The image as the camera takes it."""
        blurred = cv2.GaussianBlur(image, (0, 0), blur)
        top, left = self._rng.integers(HEIGHT), self._rng.integers(WIDTH)
        noise = cv2.merge([self._noise[top : top + HEIGHT, left : left + WIDTH]] * 3)
        return np.asarray(cv2.addWeighted(blurred, light, noise, 1, 0, dtype=cv2.CV_8U), np.uint8)


def live_a_month(record: Path, start: int, days: int, seed: int) -> list[Change]:
    """Record the month, and read the drift every hour, as the service does."""
    now = float(start)
    changes: list[Change] = []
    with Pipeline() as pipeline, DemoSource(paced=False) as source:
        manifest, visitors = pipeline.model.manifest, Visitors(seed, source)
        identity = ModelIdentity(manifest.name, manifest.version, manifest.files[MODEL_FILE])
        watch = DriftWatch(record, manifest.reference, clock=lambda: now)
        store = UsageStore(record, identity)
        recorder = UsageRecorder(store, "the record", manifest.reference, wall_clock=lambda: now, clock=lambda: now)
        with recorder:
            for day in range(days):
                weather = visitors.weather() * (_LIGHT if day >= _LIGHT_FALLS else 1.0)
                size = _SIZE if day >= _CLOSER else 1.0
                for hour in range(24):
                    now = max(now, start + day * DAY + hour * HOUR)
                    sun = 1 + 0.2 * np.sin((hour - 6) / 12 * np.pi) if 6 <= hour <= 18 else 0.88
                    for _ in range(visitors.count(hour, day % 7 >= 5)):
                        for image in visitors.visit(weather * sun, size):
                            now += 1
                            recorder.emit(pipeline.process(Frame(image, now)))
                        now += _PAUSE
                    before = watch.report.state
                    watch.update()
                    if watch.report.state != before:
                        changes.append(Change((now - start) / DAY, watch.report.state, watch.report.reason))
                typer.echo(f"day {day + 1}: {watch.report.state}: {watch.report.reason}")
    return changes


def daily_means(record: Path, start: int, days: int) -> dict[str, list[float | None]]:
    """The mean of each shown feature per day."""
    whole = [Period() for _ in range(days)]
    for row in read_rows(record, start):
        whole[min((row.start - start) // DAY, days - 1)].add(row.period)
    return {name: [FEATURES[name].mean(day.histograms[name]) for day in whole] for name in _SHOWN}


def plot(means: dict[str, list[float | None]], changes: list[Change], days: int) -> None:
    """The features per day, what was changed, and what was noticed."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(7.5, 6.5), layout="constrained")
        all_axes = figure.subplots(len(means), 1, sharex=True)
        for axes, (name, values) in zip(all_axes, means.items(), strict=True):
            axes.plot(np.arange(days) + 0.5, [np.nan if value is None else value for value in values], "o-", ms=3)
            axes.set_ylabel(name)
            axes.axvspan(0, 7, color="#0072B2", alpha=0.1, lw=0)
            for day, what in ((_LIGHT_FALLS, "the light falls"), (_CLOSER, "the camera is moved closer")):
                axes.axvline(day, color="#555555", ls="--", lw=1)
                if axes is all_axes[0]:
                    axes.annotate(what, (day, 1.02), xycoords=("data", "axes fraction"), ha="center")
            for change in changes:
                if change.state in {"watch", "drifted"} and name in change.reason:
                    axes.axvline(change.day, color="#D55E00", lw=1.5)
                    axes.annotate(f" {change.state}", (change.day, 0.05), xycoords=("data", "axes fraction"))
        all_axes[0].annotate("reference week", (3.5, 0.05), xycoords=("data", "axes fraction"), ha="center")
        all_axes[-1].set_xlabel("day")
        all_axes[-1].set_xlim(0, days)
        figure.savefig(_OUT, dpi=110)


def main(
    days: Annotated[int, typer.Option(help="Days to live through.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of the visitors.")] = 0,
) -> None:
    """Live through the month, print what was noticed, and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "usage.sqlite"
        start = int(time.time()) // DAY * DAY - days * DAY
        changes = live_a_month(record, start, days, seed)
        plot(daily_means(record, start, days), changes, days)
    for change in changes:
        typer.echo(f"day {change.day:.1f}: {change.state}: {change.reason}")


if __name__ == "__main__":
    typer.run(main)
