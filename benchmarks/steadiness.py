"""Measure how often the label changes, and how soon a real change is shown, by the settings of the smoothing.

    python benchmarks/steadiness.py

The demo shows composite faces that cross-fade at known times. Noise, flickering light and a shaking camera are added.
The faces are found and classified once; each setting then smooths the same predictions.

- changes: of the label per minute; the number of true changes is below the table.
- right: fraction of frames, from a second after each cross-fade on, with the label that the model usually gives to
  the same face without faults. A composite that the model reads otherwise does not count against the smoothing.
- delay: seconds from the middle of a cross-fade to the right label.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fer_edge.config import RunConfig, SmoothingConfig
from fer_edge.labels import UNCERTAIN
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.pipeline import Pipeline
from fer_edge.sources.demo import FPS, HEIGHT, WIDTH, DemoSource, scene_at
from fer_edge.tracking.smoothing import Smoother
from fer_edge.types import Frame, FrameResult, Image

# Seconds: from one expression to the next, and the cross-fade at its end, as the demo does it.
HOLD, FADE = 3.0, 0.6

SETTINGS = {
    "as read": SmoothingConfig(time_constant=0, switch_margin=0, uncertain_below=0),
    "margin alone": SmoothingConfig(time_constant=0),
    "0.2 s": SmoothingConfig(time_constant=0.2),
    "0.4 s (default)": SmoothingConfig(),
    "0.8 s": SmoothingConfig(time_constant=0.8),
    "1.6 s": SmoothingConfig(time_constant=1.6),
}


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What one setting showed."""

    changes: float
    right: float
    uncertain: float
    delays: list[float]


def main(minutes: float = 2.0, noise: float = 12.0, flicker: float = 0.1, shake: float = 2.0) -> None:
    """Measure and print.

    Args:
        minutes: of the scene.
        noise: standard deviation a pixel, in grey levels.
        flicker: of the brightness, as a part.
        shake: standard deviation of the camera's place, in pixels.
    """
    cv2.setNumThreads(1)
    count = round(minutes * 60 * FPS)
    reading = _usual_reading()
    results = _read(track(_camera(count, noise, flicker, shake), total=count, transient=True))
    table = Table(title=f"{minutes:g} minutes, noise {noise:g}, flicker {flicker:.0%}, shake {shake:g} px")
    for heading in ("smoothing", "changes per minute", "right", "uncertain", "delay p50, s", "longest, s"):
        table.add_column(heading, justify="right")
    for name, setting in SETTINGS.items():
        result = judge(_labels(setting, results), reading)
        delays = [f"{np.median(result.delays):.2f}", f"{max(result.delays):.2f}"] if result.delays else ["", ""]
        table.add_row(name, f"{result.changes:.0f}", f"{result.right:.1%}", f"{result.uncertain:.1%}", *delays)
    truth = len([1 for index in range(1, count) if _expected(index, reading) != _expected(index - 1, reading)])
    Console().print(table, f"The truth changes {truth / minutes:.0f} times per minute, as this model reads the faces.")


def judge(shown: Sequence[str | None], reading: dict[str, str]) -> Steadiness:
    """Compare the label of each frame, None where no face was shown, with the scene."""
    pairs = [(index, label) for index, label in enumerate(shown) if label is not None]
    changes = sum(label != before for (_, label), (_, before) in zip(pairs[1:], pairs, strict=False))
    held = [(index, label) for index, label in pairs if _since_fade(index) > HOLD / 3]
    right = np.mean([label == _expected(index, reading) for index, label in held])
    uncertain = np.mean([label == UNCERTAIN for _, label in pairs])
    return Steadiness(changes / (len(shown) / FPS / 60), float(right), float(uncertain), _delays(shown, reading))


def _delays(shown: Sequence[str | None], reading: dict[str, str]) -> list[float]:
    delays = []
    turn = round(HOLD * FPS)
    middle = round((HOLD - FADE / 2) * FPS)
    for start in range(middle, len(shown) - turn, turn):
        if _expected(start - 1, reading) == _expected(start + 1, reading):
            continue
        settled = [index for index in range(start, start + turn) if shown[index] == _expected(start + 1, reading)]
        if settled:
            delays.append((settled[0] - start) / FPS)
    return delays


def _since_fade(index: int) -> float:
    """Seconds since the middle of the latest cross-fade."""
    return (index / FPS + FADE / 2) % HOLD


def _expected(index: int, reading: dict[str, str]) -> str:
    scene = scene_at(index / FPS)
    return reading[scene.label if scene.blend < 0.5 else scene.next_label]


def _usual_reading() -> dict[str, str]:
    """What the model makes of each composite without faults, most of the time."""
    seen: dict[str, Counter[str]] = {}
    with DemoSource(paced=False) as demo:
        results = _read(_first(demo, round(7 * HOLD * FPS)))
    for index, label in enumerate(_labels(SETTINGS["as read"], results)):
        scene = scene_at(index / FPS)
        if label and scene.blend == 0:
            seen.setdefault(scene.label, Counter())[label] += 1
    return {label: counter.most_common(1)[0][0] for label, counter in seen.items()}


def _read(frames: Iterable[Frame]) -> list[FrameResult]:
    pipeline = Pipeline(RunConfig())
    return [_without_image(pipeline.process(frame)) for frame in frames]


def _without_image(result: FrameResult) -> FrameResult:
    return replace(result, frame=replace(result.frame, image=np.zeros((1, 1, 3), np.uint8)))


def _labels(setting: SmoothingConfig, results: Sequence[FrameResult]) -> list[str | None]:
    """The label of the first face in each frame."""
    smoother = Smoother(setting, load_bundle(find_bundle(RunConfig().model)).manifest.labels)
    labels: list[str | None] = []
    for result in results:
        tracks = [face.track for face in result.faces]
        seen = {face.track.id: face.raw for face in result.faces if face.track.missed_s == 0}
        faces = smoother.update(tracks, seen, result.frame.captured_at)
        labels.append(faces[0].smoothed.label if faces else None)
    return labels


def _camera(count: int, noise: float, flicker: float, shake: float) -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    with DemoSource(paced=False) as demo:
        for frame in _first(demo, count):
            yield Frame(disturb(frame.image, rng, noise, flicker, shake), frame.captured_at, frame.index)


def disturb(image: Image, rng: np.random.Generator, noise: float, flicker: float, shake: float) -> Image:
    """Noise in grey levels, a change of the light as a part, and a camera that is off by some pixels."""
    moved = np.array([[1, 0, rng.normal(0, shake)], [0, 1, rng.normal(0, shake)]], np.float32)
    shaken = cv2.warpAffine(image, moved, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    light = 1 + flicker * math.sin(rng.uniform(0, 2 * math.pi))
    grain = rng.normal(0, noise, (HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.asarray(np.clip(shaken * np.float32(light) + grain, 0, 255), np.uint8)


def _first(demo: DemoSource, count: int) -> Iterator[Frame]:
    for frame in demo:
        yield frame
        if frame.index == count - 1:
            return


if __name__ == "__main__":
    typer.run(main)
