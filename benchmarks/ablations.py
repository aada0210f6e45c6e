"""Measure what each step of the recipes gives, with short trainings of the smallest network against one baseline.

    KERAS_BACKEND=torch python benchmarks/ablations.py DATA OUT [--teacher RUN]...

The baseline is recipe `edge` with the architecture `edge-tiny`. Every other row differs from it in one thing, which it
names. OUT keeps a folder for each training. Finished ones are not repeated, so the run can be stopped and continued.
`OUT/ablations.json` has the table's figures, all measured on PublicTest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quietly
from keras import layers  # noqa: E402

from fer_train.architectures import ARCHITECTURES, Architecture  # noqa: E402
from fer_train.data.datasets import load_both  # noqa: E402
from fer_train.recipes import load_recipe  # noqa: E402
from fer_train.runs.records import KERAS_FILE, RECORD_FILE  # noqa: E402
from fer_train.training.fit import fit  # noqa: E402
from fer_train.training.precision import parse_precision  # noqa: E402

tiny = ARCHITECTURES["edge-tiny"].build

BASE = ("architecture=edge-tiny",)
ON_FER2013 = ("labels=fer2013",)
VARIANTS: dict[str, tuple[str, ...]] = {
    "FER+ votes: the baseline": (),
    "the same, seed 1": ("seed=1",),
    "the same, seed 2": ("seed=2",),
    "weights not averaged": ("ema=0",),
    "mixup of 0.2 on half of the batches": ("mixup=0.2",),
    "no erased patches": ("augmentation.erase=0",),
    "FER2013's labels": ON_FER2013,
    "FER2013's labels, smoothed by 0.1": (*ON_FER2013, "label_smoothing=0.1"),
    "FER2013's labels, FER+ votes as a second target": (*ON_FER2013, "also={ferplus8 = 1.0}"),
    "squeeze and excitation": ("architecture=tiny-squeeze",),
    "the middle 40 x 40 pixels alone": ("architecture=tiny-crop",),
    "half as wide again": ("architecture=tiny-wider",),
    "a second block at 12 and 6 pixels": ("architecture=tiny-deeper",),
}
DISTILLED = "distilled from the teachers"


def main(
    data: Annotated[Path, typer.Argument(envvar="FER_DATA")],
    out: Path,
    epochs: int = 12,
    teacher: Annotated[list[Path] | None, typer.Option(help="Runs to distil from, for one more row.")] = None,
) -> None:
    """Train what is missing, then print the table."""
    add_architectures()
    out.mkdir(exist_ok=True)
    variants = VARIANTS | ({DISTILLED: ()} if teacher else {})
    folders = {}
    for name, changes in variants.items():
        folder = out / name.replace(" ", "-").replace(":", "").replace("'", "")
        folders[name] = folder
        if not (folder / KERAS_FILE).is_file():
            train(data, folder, epochs, changes, teacher if name == DISTILLED and teacher else [])
    report(out / "ablations.json", folders)


def train(data: Path, folder: Path, epochs: int, changes: tuple[str, ...], teachers: list[Path]) -> None:
    """Train one variant."""
    recipe = load_recipe("edge", [*BASE, *changes], epochs=epochs)
    learnt, watched = load_both(data, recipe.schemes, recipe.votes)
    resume = (folder / "unfinished").is_dir()
    fit(learnt, watched, recipe, folder, resume=resume, precision=parse_precision("auto"), teachers=teachers)


def add_architectures() -> None:
    """Make the smallest network's relatives known by name."""
    relatives: dict[str, Callable[..., keras.Model]] = {
        "tiny-squeeze": squeezed,
        "tiny-crop": cropped,
        "tiny-wider": partial(tiny, widths=(24, 36, 72, 108), stem=12),
        "tiny-deeper": partial(tiny, depths=(1, 2, 2, 1)),
    }
    ARCHITECTURES.update({name: Architecture(build, "an experiment") for name, build in relatives.items()})


def squeezed(classes: int, dropout: float = 0.0) -> keras.Model:
    """With squeeze-and-excitation (Hu et al., 2017, arXiv:1709.01507) at the end of each block's residual branch."""

    def call(layer: keras.Layer, *inputs: keras.KerasTensor, **arguments: object) -> keras.KerasTensor:
        output = layer(*inputs, **arguments)
        if not layer.name.endswith("_second_norm"):
            return output
        channels = output.shape[-1]
        squeeze = layers.GlobalAveragePooling2D(keepdims=True)(output)
        excite = layers.Conv2D(channels // 4, 1, activation="relu")(squeeze)
        return layers.Multiply()([output, layers.Conv2D(channels, 1, activation="sigmoid")(excite)])

    return keras.models.clone_model(tiny(classes, dropout=dropout), call_function=call)


def cropped(classes: int, dropout: float = 0.0) -> keras.Model:
    """On the middle of the face; training moves it about, so that other parts are seen as well."""

    def call(layer: keras.Layer, *inputs: keras.KerasTensor, **arguments: object) -> keras.KerasTensor:
        output = layer(*inputs, **arguments)
        return layers.CenterCrop(40, 40)(output) if isinstance(layer, layers.Rescaling) else output

    return keras.models.clone_model(tiny(classes, dropout=dropout), call_function=call)


def report(path: Path, folders: dict[str, Path]) -> None:
    """Write the figures of all trainings, and print them."""
    rows = {name: read(folder) for name, folder in folders.items()}
    path.write_text(json.dumps(rows, indent=2) + "\n")
    table = Table("training", "million MACs", "most votes of seven, %", "FER2013's labels, %", title="PublicTest")
    for name, row in rows.items():
        cells = [f"{100 * row[scheme]:.1f}" if scheme in row else "" for scheme in ("ferplus7", "fer2013")]
        table.add_row(name, f"{row['macs'] / 1e6:.1f}", *cells)
    Console().print(table)


def read(folder: Path) -> dict[str, float]:
    """The accuracy of each head of a training, by label scheme, and its work."""
    records = [json.loads(path.read_text()) for path in (*folder.glob(RECORD_FILE), *folder.glob(f"*/{RECORD_FILE}"))]
    return {"macs": records[0]["macs"]} | {
        record["scheme"]: record["results"]["validation"]["accuracy"] for record in records
    }


if __name__ == "__main__":
    typer.run(main)
