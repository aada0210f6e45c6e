"""Show the progress of a training: a bar for the epoch, and one line per finished epoch."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fer_edge.errors import MissingExtra
from fer_edge.terminal import console
from fer_train.files import make_folder

_log = logging.getLogger(__name__)


def tensorboard_callback(folder: Path) -> keras.callbacks.Callback:
    """Keras' own callback, which writes loss, metrics and learning rate of each epoch; a resumed training adds to it.

    Raises:
        MissingExtra: TensorBoard is not installed.
        ConfigError: the folder cannot be created.
    """
    if not find_spec("tensorboard"):
        raise MissingExtra("TensorBoard", "tensorboard")
    make_folder(folder)
    return keras.callbacks.TensorBoard(folder, write_graph=False)


class EpochProgress(keras.callbacks.Callback):
    """A context manager that shows a bar on a terminal and logs one line per epoch.

    Keras' own bar breaks if its line is wider than the terminal, as it is with several heads.
    """

    def __init__(self, labels: str) -> None:
        """Prepare.

        Args:
            labels: the main head's label set, whose accuracy is shown.
        """
        super().__init__()
        self._labels = labels
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[result]}"),
        )
        self._progress = Progress(*columns, console=console(), transient=True, disable=not sys.stderr.isatty())
        self._task = self._progress.add_task("starting", total=None, result="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        """Begin a new bar."""
        self._began = time.monotonic()
        name = f"epoch {epoch + 1}/{self.params['epochs']}"
        self._progress.reset(self._task, total=self.params["steps"], description=name, result="")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Advance the bar."""
        loss = f"loss {float((logs or {})['loss']):.3f}" if logs else ""
        self._progress.update(self._task, completed=batch + 1, result=loss)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Log the line."""
        logs = logs or {}
        shown = {
            "loss": f"{float(logs['loss']):.3f}",
            "accuracy": self._percent(logs, ""),
            "validation accuracy": self._percent(logs, "val_"),
        }
        figures = ", ".join(f"{name} {value}" for name, value in shown.items())
        seconds = time.monotonic() - self._began
        _log.info("epoch %d/%d: %s, %.0f s", epoch + 1, self.params["epochs"], figures, seconds)

    def _percent(self, logs: Mapping[str, float], prefix: str) -> str:
        """With several heads Keras puts the head's name before that of the metric."""
        alone = f"{prefix}accuracy"
        share = float(logs[alone if alone in logs else f"{prefix}{self._labels}_accuracy"])
        return f"{100 * share:.1f} %"
