"""The command line `fer-train`: train a Keras model on labelled faces."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from fer_edge.cli.console import run_app
from fer_edge.cli.general import Debug, Version, build, new_app
from fer_train.cli import data, fetch, foreign, listing, measure, train, tune

_DISTILL = "Train a network by a recipe on the labels and on the outputs of larger networks (teachers)."

# Each entry has the panel of the help, the name and the function; the order is that of the help.
_COMMANDS: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("Data", "explore", data.explore),
    ("Data", "crop", data.crop),
    ("Data", "composites", data.composites),
    ("Training", "fit", train.fit),
    ("Training", "distill", train.fit),
    ("Training", "average", train.average),
    ("Training", "tune", tune.tune),
    ("Training", "recipes", listing.recipes),
    ("Training", "architectures", listing.architectures),
    ("Models", "evaluate", measure.evaluate),
    ("Models", "robustness", measure.robustness),
    ("Models", "prior", measure.prior_curve),
    ("Models", "export", listing.export),
    ("Models", "wrap", foreign.wrap),
    ("Models", "fetch", fetch.fetch),
)

app = new_app("Train facial expression models.")


@app.callback()
def main(_debug: Debug = False, _version: Version = False) -> None:
    """Train facial expression models."""


for panel, name, command in _COMMANDS:
    app.command(name, help=_DISTILL if name == "distill" else None, rich_help_panel=panel)(command)
for entry in entry_points(group="fer_train.commands"):
    app.command(entry.name, rich_help_panel="Training")(entry.load())


def run() -> None:
    """Entry point."""
    run_app(build(app), extra="train")
