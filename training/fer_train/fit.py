"""Train a model: the standard Keras loop, resumable, with the recipe and the results written beside the model."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import keras
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fer_edge import __version__
from fer_edge.errors import ConfigError
from fer_train.architectures import count_macs, edge_net
from fer_train.augmentation import Augmentation
from fer_train.datasets import LabelledFaces
from fer_train.metrics import score

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
"""Keras' policies of what a step computes in."""

_UNFINISHED = "unfinished"


def parse_precision(name: str) -> Precision:
    """Return a precision by name. Raises ConfigError for an unknown one."""
    for precision in get_args(Precision):
        if name == precision:
            return precision  # type: ignore[no-any-return]
    raise ConfigError(f"precision '{name}' is unknown. Choose {', '.join(get_args(Precision))}")


class Recipe(BaseModel):
    """All that decides how a model is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(60, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    """Peak of the schedule: linear warm-up, then half a cosine down to zero (Loshchilov & Hutter, arXiv:1608.03983)."""
    warmup_epochs: float = Field(2.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-3, ge=0)
    """Decoupled from the gradient, times the learning rate; not on batch norms and biases."""
    ema: float = Field(0.999, ge=0, lt=1)
    """Each step keeps this much of the running mean of the weights, which is what is saved; 0 turns it off. The mean
    never reaches back over more than a fifth of the training."""
    dropout: float = Field(0.2, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    seed: int = Field(0, ge=0)


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches; the same seed gives the same batches in each epoch, also after a resume."""

    def __init__(self, faces: LabelledFaces, recipe: Recipe) -> None:
        super().__init__()
        self._faces = faces
        self._recipe = recipe
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Shuffle anew for this epoch."""
        self._epoch = epoch
        self._order = np.random.default_rng((self._recipe.seed, epoch)).permutation(len(self._faces))

    def __len__(self) -> int:
        return math.ceil(len(self._faces) / self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        size = self._recipe.batch_size
        chosen = self._order[index * size : (index + 1) * size]
        rng = np.random.default_rng((self._recipe.seed, self._epoch, index))
        images = self._recipe.augmentation.apply(self._faces.images[chosen], rng)
        return images[..., None], self._faces.targets[chosen]


class _StartEpoch(keras.callbacks.Callback):
    """Tells the batches which epoch it is: after a resume it is not the first."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        self._batches.start_epoch(epoch)


def fit(
    train: LabelledFaces,
    validation: LabelledFaces,
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    precision: Precision = "float32",
) -> keras.Model:
    """Train on one split, watch another, and write a folder.

    `out` receives `model.keras` (float32), `history.csv` and `training.json` (recipe, data, versions, results). While
    the training runs, `out/unfinished` holds what `resume` needs.

    Args:
        train: what to learn from.
        validation: what to report on; it decides nothing.
        recipe: how.
        out: a folder that does not exist yet, or that of an unfinished run with `resume`.
        resume: go on from the last finished epoch.
        precision: Keras' policy while training; `mixed_bfloat16` is about a third faster on a CPU that has it.

    Raises:
        ConfigError: `out` is in the way, or there is nothing to resume.
    """
    record = _record(train, validation, recipe, precision)
    _claim(out, record, resume)
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(precision)
    model = edge_net(len(train.labels), dropout=recipe.dropout)
    batches = Batches(train, recipe)
    model.compile(
        optimizer=_optimizer(recipe, len(batches), model),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    callbacks = [
        keras.callbacks.BackupAndRestore(out / _UNFINISHED / "backup", delete_checkpoint=False),
        _StartEpoch(batches),
        keras.callbacks.CSVLogger(str(out / "history.csv"), append=resume),
    ]
    if recipe.ema:
        callbacks.insert(0, keras.callbacks.SwapEMAWeights())
    model.fit(
        batches,
        epochs=recipe.epochs,
        validation_data=(validation.images[..., None], validation.targets),
        validation_batch_size=512,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    if recipe.ema:
        _refresh_batch_norm(model, batches)
    return _save(model, record, validation, out)


def predict(model: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Probabilities, shape (N, C), for grey faces of shape (N, 48, 48)."""
    return np.asarray(model.predict(images[..., None], batch_size=512, verbose=0), np.float32)


def _claim(out: Path, record: dict[str, Any], resume: bool) -> None:
    """Make the folder of a new run, or compare that of an unfinished one with what is asked for now."""
    marker = out / _UNFINISHED / "record.json"
    if resume:
        if not marker.is_file():
            raise ConfigError(f"{out}: no unfinished training to resume. Leave --resume out")
        begun = _read_marker(marker)
        for part in ("recipe", "scheme", "precision", "data"):
            if begun.get(part) != record[part]:
                raise ConfigError(f"{out}: was begun with another {part}. Resume with the same options and data")
        return
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out}: is not an empty folder. Choose another, or --resume an unfinished training")
    try:
        marker.parent.mkdir(parents=True)
        marker.write_text(json.dumps(record, indent=2))
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from error


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        begun = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{marker}: is damaged. Remove the folder and train anew") from error
    return begun if isinstance(begun, dict) else {}


def _optimizer(recipe: Recipe, steps: int, model: keras.Model) -> keras.optimizers.Optimizer:
    warmup = round(recipe.warmup_epochs * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.learning_rate if not warmup else recipe.learning_rate / warmup,
        decay_steps=max(recipe.epochs * steps - warmup, 1),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.SGD(
        schedule,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay or None,
        use_ema=recipe.ema > 0,
        ema_momentum=max(min(recipe.ema, 1 - 5 / (recipe.epochs * steps)), 0.0),
    )
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(
            var_list=[weight for weight in model.trainable_variables if len(weight.shape) == 1]
        )
    return optimizer


def _record(train: LabelledFaces, validation: LabelledFaces, recipe: Recipe, precision: Precision) -> dict[str, Any]:
    """What a reader needs to repeat the training."""
    return {
        "scheme": train.scheme,
        "labels": list(train.labels),
        "recipe": recipe.model_dump(mode="json"),
        "precision": precision,
        "data": {faces.split: _describe(faces) for faces in (train, validation)},
        "versions": {
            "fer-edge": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }


def _save(model: keras.Model, record: dict[str, Any], validation: LabelledFaces, out: Path) -> keras.Model:
    """Save a float32 model, whatever it was trained in, with its record and its score."""
    keras.config.set_dtype_policy("float32")
    saved = edge_net(len(validation.labels))
    saved.set_weights(model.get_weights())
    record |= {
        "architecture": saved.name,
        "parameters": saved.count_params(),
        "macs": count_macs(saved),
        "results": {validation.split: asdict(score(predict(saved, validation.images), validation))},
    }
    aside = out / "model.aside.keras"
    saved.save(aside)
    (out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    aside.replace(out / "model.keras")
    shutil.rmtree(out / _UNFINISHED)
    return saved


def _refresh_batch_norm(model: keras.Model, batches: Batches) -> None:
    """Measure the batch norms' statistics again: averaged weights have others (Izmailov et al., arXiv:1803.05407)."""
    for index in range(min(len(batches), 100)):
        model(batches[index][0], training=True)


def _describe(faces: LabelledFaces) -> dict[str, Any]:
    return {"source": faces.source.name, "images": len(faces), "fingerprint": faces.fingerprint}
