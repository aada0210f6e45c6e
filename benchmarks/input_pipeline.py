"""Compare the images per second of the training input with augmentation with Keras' ImageDataGenerator, in one run.

    python benchmarks/input_pipeline.py --data DATA

Both produce float32 batches of the same faces in memory, with the same changes: rotation, zoom, shift, brightness and
mirror. Ours is also timed with the default augmentation. It measures CPU time of one thread in alternating rounds, in
half a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from fer_train.backend import load_keras
from fer_train.data.augmentation import Augmentation
from fer_train.data.datasets import load_dataset

BATCH = 128
BATCHES = 20
ROUNDS = 7
SAME = Augmentation(contrast=0, soften=0, erase=0, noise=0, compress=0)

Run = Callable[[], None]


def main(data: Annotated[Path, typer.Option(envvar="FER_DATA")]) -> None:
    """Measure and print."""
    load_keras()
    cv2.setNumThreads(1)
    faces = load_dataset(data, "validation")
    pipelines: dict[str, Run] = {
        "Keras' ImageDataGenerator": theirs(faces.images, faces.targets),
        "ours, same changes": ours(faces.images, faces.targets, SAME),
        "ours, all changes": ours(faces.images, faces.targets, Augmentation()),
    }
    speeds: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(ROUNDS):
        for name, run in pipelines.items():
            begun = time.process_time()
            run()
            speeds[name].append(BATCHES * BATCH / (time.process_time() - begun))
    report(speeds)


def ours(images: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32], augmentation: Augmentation) -> Run:
    """Return what hands out batches as training does."""
    rng = np.random.default_rng(0)

    def batch() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        chosen = rng.integers(len(images), size=BATCH)
        return augmentation.apply(images[chosen], rng)[..., None].astype(np.float32), targets[chosen]

    return lambda: consume(batch)


def theirs(images: npt.NDArray[np.uint8], targets: npt.NDArray[np.float32]) -> Run:
    """Return Keras' generator with the same changes."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(
        rotation_range=SAME.rotate_degrees,
        zoom_range=SAME.scale,
        width_shift_range=SAME.shift,
        height_shift_range=SAME.shift,
        brightness_range=(1 - SAME.brightness, 1 + SAME.brightness),
        horizontal_flip=SAME.mirror,
        fill_mode="reflect",
    )
    batches = generator.flow(images[..., None].astype(np.float32), targets, batch_size=BATCH, seed=0)

    return lambda: consume(lambda: next(batches))


def consume(batch: Callable[[], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]) -> None:
    """Take a round's faces; the last batch of an epoch of Keras' is smaller."""
    taken = 0
    while taken < BATCHES * BATCH:
        taken += len(batch()[0])


def report(speeds: dict[str, list[float]]) -> None:
    """Print medians, and the ratios of each round."""
    table = Table(title=f"faces of 48x48, {ROUNDS} rounds of {BATCHES * BATCH}, one thread")
    for heading in ("input", "images per second of CPU, median", "times Keras'", "in all rounds"):
        table.add_column(heading, justify="left" if heading == "input" else "right")
    keras = np.array(next(iter(speeds.values())))
    for name, rounds in speeds.items():
        ratios = np.array(rounds) / keras
        spread = f"{ratios.min():.1f} to {ratios.max():.1f}"
        table.add_row(name, f"{np.median(rounds):,.0f}", f"{np.median(ratios):.1f}", spread)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
