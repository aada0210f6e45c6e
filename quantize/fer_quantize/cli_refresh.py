"""`fer-train refresh`: a shipped model learns from the labelled faces of one device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.options import default

if TYPE_CHECKING:
    from rich.table import Table

    from fer_quantize.gate import Rival
    from fer_quantize.refresh import Material, Refresh

# With fewer held-out samples a difference of some percentage points is chance.
_FEW_FACES = 50


def refresh(
    context: typer.Context,
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="A folder that fer-edge samples export wrote.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the bundle to write.")],
    model: Annotated[
        str, typer.Option(metavar="BUNDLE", help="The model to refresh, by name or folder. It needs its model.keras.")
    ] = "ferplus7",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            envvar="FER_DATA",
            help=default("The data set that it was trained on, to learn some of it again, and to compare on.", "none"),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all random numbers.")] = 0,
) -> None:
    """Fine-tune a shipped model on the labelled faces of a device.

    The bundle is written only if it is better than the old model on the held-out samples and loses at most half a
    percentage point on the validation split of --data; else exit 1.
    """
    from fer_train.backend import load_keras

    load_keras("tensorflow")  # the converter is TensorFlow's
    from fer_quantize.convert import separate_converter
    from fer_quantize.refresh import read_material, recipe_for
    from fer_quantize.refresh import refresh as run
    from fer_train.training.progress import EpochProgress

    context.with_resource(separate_converter())
    material = read_material(samples, model, data)
    for caution in _cautions(material):
        typer.echo(f"Note: {caution}")
    with EpochProgress(material.samples.scheme) as progress:
        result = run(material, out, recipe_for(material, seed), [progress])
    _tell(result)
    if result.refusal:
        raise typer.Exit(1)


def _cautions(material: Material) -> list[str]:
    found = []
    if len(material.held_out) < _FEW_FACES:
        found.append(
            f"only {len(material.held_out)} samples are held out: a difference may be chance. Label {_FEW_FACES} or "
            "more of the newest days"
        )
    if missing := [label for label in material.samples.labels if label not in material.samples.support]:
        found.append(f"no sample to learn from shows {', '.join(missing)}: the model may forget that")
    if material.validation is None:
        found.append("without --data nothing is compared on other faces: the model may have become worse on them")
    return found


def _tell(result: Refresh) -> None:
    from fer_edge.terminal import output_console

    console = output_console()
    if result.on_samples:
        console.print(_table(result, result.on_samples))
    parent = f"{result.parent.name} {result.parent.version}"
    if result.refusal:
        console.print(f"[red]not written[/]: {result.refusal}. {parent} stays the better model", soft_wrap=True)
    else:
        console.print(f"{result.folder}: version {result.version} written, refreshed from {parent}", soft_wrap=True)


def _table(result: Refresh, on_samples: Rival) -> Table:
    from rich.table import Table

    title = f"int8 models on the same faces: {result.parent.name} and the refreshed one"
    table = Table(title=title, caption=f"new weights: {result.start_share:.1%} of the old ones, the rest as trained")
    for heading in ("faces", "number", "old, %", "new, %", "change, points (95 %)", "McNemar p"):
        table.add_column(heading, justify="left" if heading == "faces" else "right")
    rows = [("held-out samples", on_samples), ("validation split", result.on_validation)]
    for (name, rival), images in zip(rows, result.images, strict=True):
        if rival is None:
            continue
        change, low, high = (0.0 - loss for loss in (rival.loss.drop, *reversed(rival.loss.interval)))
        old = 100 * rival.accuracy
        interval = f"{change:+.1f} ({low:+.1f} to {high:+.1f})"
        table.add_row(name, str(images), f"{old:.1f}", f"{old + change:.1f}", interval, f"{rival.loss.p_value:.2g}")
    return table
