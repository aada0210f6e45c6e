"""`fer-train`: from labelled faces to a Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.console import Debug, run_app, set_up
from fer_edge.errors import ConfigError

app = typer.Typer(
    help="Train facial expression models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path,
    typer.Option(
        envvar="FER_DATA", help="fer2013.csv, the folder that holds it, or a folder of <split>/<class>/<image>."
    ),
]


@app.callback()
def main(debug: Debug = False) -> None:
    """Train facial expression models."""
    set_up(debug)


@app.command()
def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="New folder for the model, its history and its results.")],
    labels: Annotated[str, typer.Option(help="fer2013, ferplus7 or ferplus8.")] = "fer2013",
    epochs: Annotated[int, typer.Option(min=1)] = 60,
    batch_size: Annotated[int, typer.Option(min=1)] = 128,
    learning_rate: Annotated[float, typer.Option(min=1e-9, help="Peak of the cosine schedule.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    precision: Annotated[str, typer.Option(help="float32, or mixed_bfloat16 where the machine has it.")] = "float32",
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
) -> None:
    """Train the edge network."""
    from fer_train.backend import load_keras

    load_keras()
    from fer_train.datasets import load_dataset, parse_scheme
    from fer_train.fit import Recipe, parse_precision
    from fer_train.fit import fit as train

    scheme, policy = parse_scheme(labels), parse_precision(precision)
    recipe = Recipe(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed)
    train(
        load_dataset(data, "train", scheme),
        load_dataset(data, "validation", scheme),
        recipe,
        out,
        resume=resume,
        precision=policy,
    )
    typer.echo(f"{out / 'model.keras'}: trained. Next: fer-quantize {out / 'model.keras'} --data {data} --check")


@app.command()
def composites(
    data: Data,
    out: Annotated[Path, typer.Option(help="PNG to write: seven grey faces side by side.")],
    labels: Annotated[str, typer.Option(help="fer2013 or ferplus7.")] = "fer2013",
    most_similar: Annotated[int, typer.Option(min=2, help="Faces of a class that are averaged.")] = 200,
) -> None:
    """Average the training faces of each class into pictures of nobody, for the demo."""
    from fer_train.composites import composite_atlas, write_atlas
    from fer_train.datasets import load_dataset, parse_scheme

    if labels not in {"fer2013", "ferplus7"}:
        raise ConfigError(f"labels '{labels}': the demo wants seven classes. Choose fer2013 or ferplus7")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}")
    faces = load_dataset(data, "train", parse_scheme(labels))
    write_atlas(composite_atlas(faces, most_similar), out)
    typer.echo(f"{out}: written")


def run() -> None:
    """Entry point."""
    run_app(app)
