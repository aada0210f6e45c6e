"""Measure how often the label changes on faces that talk, and what the settings of the smoothing do about it.

    python -m benchmarks.talking [CLIP ...]

Composite faces talk: their jaw drops by up to five of 48 pixels, four to five times per second, with pauses. Each holds
its expression for ten seconds, then cross-fades to the next. Expressions are weak: each is mixed with the neutral
composite. Noise, flickering light and a shaking camera are as in `steadiness.py`. Clips are films of people who talk;
nobody knows their true expression. The faces are found and classified once; each setting then smooths the same
predictions.

- changes: of the label per minute in which a face is shown; in brackets those from one expression to another, where
  `uncertain` between them does not count.
- right: fraction of frames, from a second after each cross-fade on, with the label of the same face, mouth closed.
- delay: median seconds from the middle of a cross-fade to the right label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from benchmarks.steadiness import disturb
from rich.console import Console
from rich.table import Table

from fer_edge.config import RunConfig, SmoothingConfig
from fer_edge.labels import UNCERTAIN
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.pipeline import Pipeline
from fer_edge.sources import open_source
from fer_edge.sources.demo import FPS, DemoSource, Scene, scene_at
from fer_edge.tracking.smoothing import Smoother
from fer_edge.types import Frame, FrameResult

ORDER = ("happy", "neutral", "surprise", "angry", "fear", "sad", "disgust")
HOLD, FADE = 10.0, 0.6
# Of the 48 rows of a composite: between the lips, and as far as the jaw drops.
LIPS, DROP = 37.0, 5.0

SETTINGS = {
    "none": SmoothingConfig(time_constant=0, switch_margin=0, uncertain_below=0),
    "0.4 s, margin 0.1 (default)": SmoothingConfig(),
    "0.4 s, margin 0.2": SmoothingConfig(switch_margin=0.2),
    "0.4 s, margin 0.3": SmoothingConfig(switch_margin=0.3),
    "0.8 s, margin 0.1": SmoothingConfig(time_constant=0.8),
    "0.8 s, margin 0.2": SmoothingConfig(time_constant=0.8, switch_margin=0.2),
    "0.8 s, margin 0.3": SmoothingConfig(time_constant=0.8, switch_margin=0.3),
    "1.6 s, margin 0.1": SmoothingConfig(time_constant=1.6),
    "0.4 s, margin 0.2, uncertain below 0.25": SmoothingConfig(switch_margin=0.2, uncertain_below=0.25),
    "0.8 s, margin 0.2, uncertain below 0.25": SmoothingConfig(
        time_constant=0.8, switch_margin=0.2, uncertain_below=0.25
    ),
}

Levels = npt.NDArray[np.float32]


def main(
    clips: Annotated[list[Path] | None, typer.Argument()] = None,
    rounds: int = 2,
    strength: float = 0.5,
    model: str = "ferplus7",
) -> None:
    """Measure and print.

    Args:
        clips: films of people who talk.
        rounds: how often each composite comes.
        strength: share of the composite in its mixture with the neutral one.
        model: the bundle.
    """
    cv2.setNumThreads(1)
    config = RunConfig(model=model)
    count = round(rounds * len(ORDER) * HOLD * FPS)
    rng = np.random.default_rng(0)
    silent = process(config, composites(round(len(ORDER) * HOLD * FPS), strength, None))
    reading = usual_reading(show(SETTINGS["none"], silent, model))
    spoken = process(config, composites(count, strength, speech(count, rng)))
    read = [(clip.name, process(config, film(clip))) for clip in clips or ()]
    films = {f"{name}, {60 * minutes_shown(results):.0f} s": results for name, results in read}
    table = Table(title=f"{model}: composites that talk, and {len(films)} films")
    for heading in ("smoothing", "changes per minute", "right", "delay, s", *films):
        table.add_column(heading, justify="right")
    for name, setting in SETTINGS.items():
        shown = show(setting, spoken, model)
        cells = [f"{changes(shown, spoken)}", f"{right(shown, reading):.1%}", f"{delay(shown, reading):.2f}"]
        for results in films.values():
            labels = show(setting, results, model)
            seen = [label for label in labels if label]
            unsure = sum(label == UNCERTAIN for label in seen) / max(len(seen), 1)
            cells.append(f"{changes(labels, results)}, {unsure:.0%} uncertain")
        table.add_row(name, *cells)
    true_changes = sum(expected(i, reading) != expected(i - 1, reading) for i in range(1, count)) / (count / FPS / 60)
    Console(width=160).print(table, f"The truth changes {true_changes:.1f} times per minute. Closed mouths: {reading}")


def composites(count: int, strength: float, opening: npt.NDArray[np.float64] | None) -> Iterator[Frame]:
    """Frames of the demo's scene with weak expressions; with an opening of the mouth, 0..1, per frame, they talk."""
    rng = np.random.default_rng(1)
    with DemoSource(paced=False) as demo:
        neutral = demo._faces["neutral"]
        closed = {label: neutral + strength * (face - neutral) for label, face in demo._faces.items()}
        for index in range(count):
            drop = 0.0 if opening is None else opening[index]
            demo._faces = {label: open_mouth(face, drop) for label, face in closed.items()}
            image = disturb(demo.render(scene(index)), rng, noise=12, flicker=0.1, shake=2)
            yield Frame(image, index / FPS, index)


def scene(index: int) -> Scene:
    """Which composites are shown in a frame, where the demo shows them."""
    turn, within = divmod(index / FPS, HOLD)
    label, following = (ORDER[int(turn + step) % len(ORDER)] for step in (0, 1))
    return Scene(label, following, min(max((within - (HOLD - FADE)) / FADE, 0.0), 1.0), scene_at(index / FPS).box)


def speech(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Opening of the mouth per frame, 0..1: syllables of 0.2 to 0.25 s, of which one in eight is a pause of 0.4 s."""
    opening = np.zeros(count)
    at = 0
    while at < count:
        is_pause = rng.random() < 1 / 8
        length = round((0.4 if is_pause else rng.uniform(0.2, 0.25)) * FPS)
        part = opening[at : at + length]
        if not is_pause:
            part += rng.uniform(0.2, 1) * np.sin(np.pi * (np.arange(length) + 0.5) / length)[: len(part)]
        at += length
    return opening


def open_mouth(face: Levels, opening: float) -> Levels:
    """A face, shape (48, 48), with a jaw that has dropped: what is below the lips moves down, and the gap is dark."""
    side = len(face)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    width = np.exp(-(((columns - (side - 1) / 2) / 7) ** 2)).astype(np.float32)
    drop = np.float32(DROP * opening) * width
    below = np.clip((rows - LIPS) / np.maximum(drop, 1e-3), 0, 1)
    moved = cv2.remap(face, columns, rows - drop * below, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap = (rows > LIPS) & (rows < LIPS + drop) & (drop > 0.8)
    dark = cv2.GaussianBlur(gap.astype(np.float32), (0, 0), 0.6)
    return np.asarray(moved * (1 - 0.7 * dark), np.float32)


def film(path: Path) -> Iterator[Frame]:
    """Frames of a video file."""
    with open_source(str(path)) as source:
        yield from source


def process(config: RunConfig, frames: Iterator[Frame]) -> list[FrameResult]:
    """Find and classify the faces; the pictures are not kept."""
    with Pipeline(config) as pipeline:
        return [_without_image(pipeline.process(frame)) for frame in frames]


def _without_image(result: FrameResult) -> FrameResult:
    return replace(result, frame=replace(result.frame, image=np.zeros((1, 1, 3), np.uint8)))


def show(setting: SmoothingConfig, results: Sequence[FrameResult], model: str) -> list[str | None]:
    """The label of the first face in each frame; None where there is none."""
    smoother = Smoother(setting, load_bundle(find_bundle(model)).manifest.labels)
    labels: list[str | None] = []
    for result in results:
        seen = {face.track.id: face.raw for face in result.faces if face.track.missed_s == 0}
        faces = smoother.update([face.track for face in result.faces], seen, result.frame.captured_at)
        labels.append(faces[0].smoothed.label if faces else None)
    return labels


def usual_reading(labels: Sequence[str | None]) -> dict[str, str]:
    """What the model reads in each composite with a closed mouth, most of the time."""
    seen: dict[str, Counter[str]] = {name: Counter() for name in ORDER}
    for index, label in enumerate(labels):
        if label and scene(index).blend == 0:
            seen[scene(index).label][label] += 1
    return {name: counter.most_common(1)[0][0] for name, counter in seen.items()}


def expected(index: int, reading: dict[str, str]) -> str:
    """The label of a frame if the mouth were closed."""
    now = scene(index)
    return reading[now.label if now.blend < 0.5 else now.next_label]


def changes(labels: Sequence[str | None], results: Sequence[FrameResult]) -> str:
    """Changes per minute in which a face is shown: of the label, and of the expression."""
    minutes = minutes_shown(results)
    shown = [label for label in labels if label]
    known = [label for label in shown if label != UNCERTAIN]
    of_label, of_expression = (sum(a != b for a, b in pairwise(row)) / minutes for row in (shown, known))
    return f"{of_label:.0f} ({of_expression:.0f})"


def minutes_shown(results: Sequence[FrameResult]) -> float:
    """Minutes in which a face is shown."""
    spans = pairwise(results)
    return sum(end.frame.captured_at - begin.frame.captured_at for begin, end in spans if begin.faces) / 60


def right(labels: Sequence[str | None], reading: dict[str, str]) -> float:
    """Fraction of frames with the label of the closed mouth, from a second after each cross-fade on."""
    settled = [i for i, label in enumerate(labels) if label and (i / FPS + FADE / 2) % HOLD > 1]
    return float(np.mean([labels[i] == expected(i, reading) for i in settled]))


def delay(labels: Sequence[str | None], reading: dict[str, str]) -> float:
    """Median seconds from the middle of a cross-fade to the first frame with the new label."""
    starts = [i for i in range(1, len(labels)) if expected(i, reading) != expected(i - 1, reading)]
    turn = round(HOLD * FPS)
    waits = [
        next((j - i for j in range(i, min(i + turn, len(labels))) if labels[j] == expected(i, reading)), turn)
        for i in starts
    ]
    return float(np.median(waits) / FPS)


if __name__ == "__main__":
    typer.run(main)
