"""Run one training of a search in its own process, so that a crash or lack of memory ends only that process."""

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

# A training process may take so many seconds to end; then it is killed.
_END_S = 30


@dataclass(frozen=True, slots=True)
class Job:
    """The inputs of a training.

    Attributes:
        recipe: the recipe.
        train: the training faces, once per label set of the recipe.
        held_out: the faces to measure on, once per label set.
        precision: Keras' policy.
        folder: output folder, as for `fit`.
    """

    recipe: Recipe
    train: list[LabelledFaces]
    held_out: list[LabelledFaces]
    precision: Precision
    folder: Path


@dataclass(frozen=True, slots=True)
class Report:
    """A message from the training process.

    Attributes:
        accuracy: accuracy of the main head on the held-out faces, 0..1, after an epoch or of the final model.
        last: whether it is that of the final model.
        error: why the training failed; empty if it did not.
    """

    accuracy: float = 0.0
    last: bool = False
    error: str = ""


def train_apart(job: Job) -> Generator[Report]:
    """Train in another process; yield a report after each epoch, then the final one.

    Closing the generator ends the training.

    Raises:
        FerError: the training failed, or its process died.
    """
    spawn = multiprocessing.get_context("spawn")  # a fork would share the threads' locks of Keras' backend
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_train, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    report = Report()
    try:
        while not report.last:
            report = receiver.recv()
            if report.error:
                raise FerError(report.error)
            yield report
    except EOFError:
        process.join()
        raise FerError(
            f"its process ended with exit code {process.exitcode} (-9 often means too little memory)"
        ) from None
    finally:
        if not report.last and not report.error:  # else it ends by itself
            process.terminate()
        process.join(_END_S)
        process.kill()
        process.join()


def _train(job: Job, sender: Connection) -> None:
    """Run in the training process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the parent ends this one
    signal.signal(signal.SIGTERM, _end)
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


def _end(*_: object) -> None:
    """End after the current step, so that Keras' semaphores are released: Python warns of those that are left."""
    raise SystemExit


def _end_with_parent() -> None:
    """End this process when the parent has ended."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)
