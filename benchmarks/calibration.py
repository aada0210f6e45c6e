"""Measure how size and random choice of the representative set change the int8 model.

    python benchmarks/calibration.py models/ferplus7/model.keras --data DATA --labels ferplus7

converts the model again and again, measures the drop on PublicTest, prints the tables of docs/quantization.md and
draws docs/calibration.png. About ten minutes on two cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from fer_train.backend import load_keras

SIZES = (10, 30, 100, 300, 500, 1000, 3000)
SEEDS_A_SIZE = 5
SEEDS = 20
SHIPPED_SIZE = 500


def main(
    model: Path,
    data: Annotated[Path, typer.Option(envvar="FER_DATA")],
    labels: str = "ferplus7",
    plot: Path = Path("docs/calibration.png"),
) -> None:
    """Measure, print and draw."""
    load_keras("tensorflow")
    from fer_quantize.convert import to_int8
    from fer_quantize.modes import predict_tflite
    from fer_quantize.representative import representative_rows
    from fer_train.data.datasets import load_dataset, parse_scheme
    from fer_train.data.duplicates import without_duplicates
    from fer_train.keras_models import load_model as read_model
    from fer_train.keras_models import predict

    scheme = parse_scheme(labels)
    network = read_model(model)
    check = load_dataset(data, "validation", scheme)
    train = without_duplicates(load_dataset(data, "train", scheme), of=check)
    exact = (predict(network, check.images).argmax(axis=1) == check.classes).mean()

    def drop(count: int, seed: int) -> float:
        content = to_int8(network, train.images[representative_rows(train, count, seed)])
        return float(100 * (exact - (predict_tflite(content, check.images).argmax(axis=1) == check.classes).mean()))

    by_size = {count: [drop(count, seed) for seed in range(SEEDS_A_SIZE)] for count in SIZES}
    by_seed = [*by_size[SHIPPED_SIZE], *(drop(SHIPPED_SIZE, seed) for seed in range(SEEDS_A_SIZE, SEEDS))]
    report(by_size, by_seed)
    draw(by_size, by_seed, plot)


def report(by_size: dict[int, list[float]], by_seed: list[float]) -> None:
    """Print both tables."""
    table = Table(title="drop by int8, percentage points")
    for heading in ("faces", "seeds", "mean", "least", "greatest", "standard deviation"):
        table.add_column(heading, justify="right")
    for count, drops in [*by_size.items(), (SHIPPED_SIZE, by_seed)]:
        figures = (np.mean(drops), min(drops), max(drops), np.std(drops, ddof=1))
        table.add_row(str(count), str(len(drops)), *(f"{figure:+.2f}" for figure in figures))
    Console().print(table)


def draw(by_size: dict[int, list[float]], by_seed: list[float], path: Path) -> None:
    """Draw the drop against the size, and the spread over seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for count, drops in by_size.items():
        left.plot([count] * len(drops), drops, "o", color="#0072B2", alpha=0.6)
    left.plot(list(by_size), [np.mean(drops) for drops in by_size.values()], color="#0072B2")
    left.set(xscale="log", xlabel="faces in the representative set", ylabel="drop, percentage points")
    right.plot(range(len(by_seed)), sorted(by_seed), "o", color="#E69F00")
    right.set(xlabel=f"{len(by_seed)} seeds, sorted; {SHIPPED_SIZE} faces")
    for axes in (left, right):
        axes.axhline(0, color="grey", linewidth=0.5)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    typer.run(main)
