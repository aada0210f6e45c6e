"""Callbacks between epochs: a history that survives a kill, and a checkpoint to resume from."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
from keras import ops

from fer_edge.errors import ConfigError
from fer_train.files import require_room
from fer_train.training.batches import Batches
from fer_train.training.distributed import undistributed

_CHECKPOINT = "epoch-{:04d}.weights.h5"


class StartEpoch(keras.callbacks.Callback):
    """Tells the batches the number of the epoch, which does not begin at 0 after a resume."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        """Shuffle for this epoch."""
        self._batches.start_epoch(epoch)


class History(keras.callbacks.Callback):
    """Rewrites `history.csv` after each epoch, one row per epoch.

    On a resume it drops the rows of epochs that will be trained again. It passes the other rows to the callbacks that
    depend on earlier epochs, since Keras' callbacks keep no state between processes. All workers keep the rows; one
    writes them.
    """

    def __init__(
        self, path: Path, main: str, first_epoch: int, replay: Sequence[keras.callbacks.Callback], *, writes: bool
    ) -> None:
        super().__init__()
        self._writes = writes
        self._path = path
        self._main = main
        self._replay = replay
        self.rows = _read(path)[:first_epoch] if first_epoch else []

    def on_train_begin(self, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        """Pass the earlier epochs to the other callbacks."""
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        for callback in self._replay:
            for epoch, row in enumerate(self.rows):
                callback.on_epoch_end(epoch, dict(row))
            if isinstance(callback, keras.callbacks.ReduceLROnPlateau):
                self.model.optimizer.learning_rate = rate  # the checkpoint holds the reduced rate already

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        """Store the time and the learning rate at the start of the epoch."""
        self._begin = time.monotonic()
        self._rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Add a row."""
        seconds = round(time.monotonic() - self._begin, 2)
        loss = float((logs or {}).get("loss", math.nan))
        if not math.isfinite(loss):
            raise ConfigError(f"the loss is {loss} after epoch {epoch + 1}. Train again with a lower --learning-rate")
        row = {"epoch": float(epoch), "seconds": seconds, "learning_rate": self._rate}
        row |= {self._column(name): float(value) for name, value in (logs or {}).items() if name != "learning_rate"}
        self.rows.append(row)
        if self._writes:
            self._write()

    def _write(self) -> None:
        aside = self._path.with_suffix(".part")
        with aside.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[-1]))
            writer.writeheader()
            writer.writerows({**row, "epoch": int(row["epoch"])} for row in self.rows)
        aside.replace(self._path)

    def _column(self, name: str) -> str:
        """Keras puts the head's name before that of a metric. The columns of the main head have no such prefix.

        Its loss keeps it: `loss` is that of all heads.
        """
        return name if name.removeprefix("val_") == f"{self._main}_loss" else name.replace(f"{self._main}_", "", 1)


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimizer after each epoch, atomically. The file name holds the number of finished epochs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        """Save, then remove the previous checkpoint."""
        before = _checkpoints(self._folder)
        _save_weights(self.model, self._folder / _CHECKPOINT.format(epoch + 1))
        for path in before:
            path.unlink()


class KeepBest(keras.callbacks.Callback):
    """Saves the weights (the average, if EMA is on) of the epoch with the main head's highest validation accuracy.

    All workers swap the averages in, since JAX needs them in step; one writes.
    """

    def __init__(
        self, path: Path, history: History, ema: keras.callbacks.SwapEMAWeights | None, *, writes: bool
    ) -> None:
        super().__init__()
        self._writes = writes
        self._path = path
        self._history = history
        self._ema = ema

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        """Save if it is the best so far."""
        *before, last = (row["val_accuracy"] for row in self._history.rows)
        if last <= max(before, default=-1.0):
            return
        if self._ema:
            self._ema.on_test_begin()
        if self._writes:
            _save_weights(self.model, self._path)
        if self._ema:
            self._ema.on_test_end()


def restore(model: keras.Model, folder: Path) -> int:
    """Load the last checkpoint into a compiled model; return the number of finished epochs, 0 without a checkpoint."""
    saved = _checkpoints(folder)
    if not saved:
        return 0
    model.optimizer.build(model.trainable_variables)
    load_weights(model, saved[-1])
    return epochs_done(folder)


def load_weights(model: keras.Model, path: Path) -> None:
    """Load what `_save_weights` saved. Raises ConfigError if it is damaged."""
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: is missing or damaged. Remove {path.parent.parent} and train again") from error


def has_stopped(history: Path, patience: int | None) -> bool:
    """Whether a training has stopped early: its validation loss has not fallen for `patience` epochs."""
    losses = [row["val_loss"] for row in _read(history)]
    return patience is not None and bool(losses) and len(losses) - 1 - losses.index(min(losses)) >= patience


def epochs_done(folder: Path) -> int:
    """The number of finished epochs in the last checkpoint; 0 if there is none."""
    saved = _checkpoints(folder)
    return int(saved[-1].name.removeprefix("epoch-").split(".")[0]) if saved else 0


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(_CHECKPOINT.replace("{:04d}", "*")))


def _save_weights(model: keras.Model, path: Path) -> None:
    """Save weights and optimizer atomically. Raises ConfigError if the disk is too full: HDF5 would crash there."""
    optimizer = model.optimizer.variables if model.optimizer else []
    require_room(path.parent, sum(4 * math.prod(variable.shape) for variable in (*model.variables, *optimizer)))
    aside = path.with_name("aside.weights.h5")
    with undistributed():
        model.save_weights(aside, overwrite=True)
    aside.replace(path)


def _read(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: is missing or damaged. Remove {path.parent} and train again") from error
