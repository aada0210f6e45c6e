"""One training of a search, in a process of its own: what crashes there, or fills the memory, ends with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from fer_edge.errors import FerError
from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces
from fer_train.recipes import Recipe
from fer_train.training.precision import Precision


@dataclass(frozen=True, slots=True)
class Job:
    """A training.

    Attributes:
        recipe: how.
        train: what to learn from, once for each of the recipe's label schemes.
        held_out: what to measure on, alike.
        precision: Keras' policy.
        folder: where to, as for `fit`.
    """

    recipe: Recipe
    train: list[LabelledFaces]
    held_out: list[LabelledFaces]
    precision: Precision
    folder: Path


@dataclass(frozen=True, slots=True)
class Report:
    """What a training tells: an accuracy 0..1 of the main head on the faces held out, or why there is none.

    Attributes:
        accuracy: after an epoch, or in the end.
        last: whether it is that of the model.
        error: what ended the training, else empty.
    """

    accuracy: float = 0.0
    last: bool = False
    error: str = ""


def train_apart(job: Job) -> Generator[Report]:
    """Train in another process; yield a report after each epoch, then the last one.

    To close the generator is to end the training.

    Raises:
        FerError: the training failed, or its process died.
    """
    spawn = multiprocessing.get_context("spawn")  # a fork would share the threads' locks of Keras' backend
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_train, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    try:
        report = Report()
        while not report.last:
            report = receiver.recv()
            if report.error:
                raise FerError(report.error)
            yield report
    except EOFError:
        process.join()
        raise FerError(f"its process ended with exit code {process.exitcode}; -9: short of memory?") from None
    finally:
        process.kill()
        process.join()


def _train(job: Job, sender: Connection) -> None:
    """The other process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the first ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        sender.send(Report(_fit(job, sender), last=True))
    except Exception as error:  # noqa: BLE001 - Keras and its backends raise all kinds; the search goes on
        sender.send(Report(error=" ".join(str(error).split())[:300] or type(error).__name__))


def _fit(job: Job, sender: Connection) -> float:
    load_keras()
    import keras  # noqa: PLC0415 - slow to load, and only here

    from fer_train.evaluation.metrics import score  # noqa: PLC0415
    from fer_train.keras_models import predict  # noqa: PLC0415
    from fer_train.training.fit import fit  # noqa: PLC0415

    def tell(_epoch: int, logs: Mapping[str, float]) -> None:
        """With several heads Keras puts the head's name before that of the metric."""
        alone = "val_accuracy"
        sender.send(Report(float(logs[alone if alone in logs else f"val_{job.recipe.labels}_accuracy"])))

    telling = keras.callbacks.LambdaCallback(on_epoch_end=tell)
    model = fit(job.train, job.held_out, job.recipe, job.folder, precision=job.precision, callbacks=[telling])
    return score(predict(model, job.held_out[0].images), job.held_out[0]).accuracy


def _end_with_parent() -> None:
    """Train for nobody no longer."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)
