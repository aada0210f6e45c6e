"""Train a model with the standard Keras loop, resumable, and write the recipe and the results beside the model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ConfigError
from fer_edge.model.bundle import sha256
from fer_train.architectures import build
from fer_train.data.datasets import LABELS, LabelledFaces, Scheme
from fer_train.recipes import Recipe
from fer_train.runs.resume import UNFINISHED, check, claim, compare
from fer_train.training.artifacts import circumstances, describe_faces, refresh_batch_norm, save
from fer_train.training.batches import AskTeachers, Batches, Examples, Floats, join
from fer_train.training.callbacks import (
    Checkpoint,
    History,
    KeepBest,
    StartEpoch,
    epochs_done,
    has_stopped,
    load_weights,
    restore,
)
from fer_train.training.distillation import TeacherEnsemble, describe, soft_labels
from fer_train.training.distributed import SINGLE_PROCESS, Coordinator, Shard, assert_same_config, shutdown
from fer_train.training.losses import add_heads, losses, soft, soften
from fer_train.training.optimizer import create_variables, make_optimizer
from fer_train.training.precision import Precision
from fer_train.training.start import Gain, Weights, blend, keep_start_if_no_better, weights_of
from fer_train.training.torch_kernels import fuse_layers
from fer_train.training.transfer import hold_near_start, initialise, initialise_heads

_BEST = "best.weights.h5"
_HISTORY = "history.csv"
# Validation faces that teachers see at once.
_PART = 512


def fit(
    train: Sequence[LabelledFaces],
    validation: Sequence[LabelledFaces],
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    precision: Precision = "float32",
    teachers: Sequence[Path] = (),
    init: Path | None = None,
    freeze: Sequence[str] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    coordinator: Coordinator | None = None,
    steps_per_execution: int = 1,
) -> keras.Model | None:
    """Train on one split, validate on another, and write an output folder.

    `out` gets `model.keras` (float32), `history.csv`, `training.json` (recipe, data, versions, results) and a report.
    For each auxiliary label set, a subfolder with its name gets the same. During the training, `out/unfinished` holds
    what `resume` needs.

    Args:
        train: the training faces, once per label set of the recipe.
        validation: the faces to report on, once per label set; they change nothing unless the recipe says so.
        recipe: the recipe.
        out: a folder that does not exist yet, or that of an unfinished run with `resume`.
        resume: continue after the last finished epoch.
        precision: Keras' policy during the training; `mixed_bfloat16` is about a third faster on a CPU that has it.
        teachers: models, or folders of runs, to distil from.
        init: a model of the same architecture from whose weights the training starts.
        freeze: layers that keep these weights; see `transfer.initialise`.
        callbacks: further Keras callbacks.
        coordinator: for several workers; only the first one writes files. To resume, all must see `out`.
        steps_per_execution: steps that the device computes before Python goes on; not on PyTorch.

    Returns:
        The model of the main labels; None on the workers that write nothing.

    Raises:
        ConfigError: `out` is not empty, there is nothing to resume, a teacher or layer is unknown, or the workers do
            not find one another or differ.
        ModelError: a teacher or `init` cannot be used.
        DataError: the label sets do not label the same faces.
    """
    examples, watched = join(train), join(validation)
    check(out, resume)
    if recipe.needs_teachers and not teachers:
        raise ConfigError("the recipe needs teachers. Give --teacher, or --set needs_teachers=false")
    if steps_per_execution > 1 and keras.backend.backend() == "torch":
        raise ConfigError("--steps-per-execution: not on PyTorch. Set KERAS_BACKEND=tensorflow or jax")
    shard = coordinator.join(recipe.batch_size) if coordinator else SINGLE_PROCESS
    if coordinator:
        started = epochs_done(out / UNFINISHED) if resume else None
        facts = [describe_faces(faces) for faces in (*train, *validation)]
        assert_same_config(recipe.model_dump(mode="json"), precision, facts, started)
    ask, taught = _teach(teachers, examples, watched, recipe)
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(precision)
    model = _network(recipe, taught, init, freeze)
    start = weights_of(model) if init else None
    record = _record(recipe, precision, [*train, *validation], teachers, init, freeze)
    if resume:
        compare(out, record)
    elif shard.writes:
        claim(out, record)
    batches = Batches(examples, recipe, shard, ask)
    model.compile(
        optimizer=make_optimizer(recipe, len(batches), model),
        steps_per_execution=steps_per_execution,
        **losses(recipe, examples.targets, taught),
    )
    if keras.backend.backend() == "tensorflow":
        create_variables(model, watched.validation())
    first_epoch = restore(model, out / UNFINISHED) if resume else 0
    is_over = first_epoch > 0 and has_stopped(out / _HISTORY, recipe.stop_patience)
    model.fit(
        batches,
        shuffle=False,  # the batches shuffle, in an order that a resumed training repeats
        initial_epoch=first_epoch,
        epochs=first_epoch if is_over else recipe.epochs,
        validation_data=watched.validation(shard),
        validation_batch_size=shard.divisible(512),
        callbacks=[*_callbacks(recipe, out, batches, first_epoch, shard), *callbacks],
        verbose=0,
    )
    if coordinator:
        shutdown()
    if not shard.writes:
        return None
    trunk, model = _copy(model, recipe, taught)
    gain = _finish(trunk, model, recipe, out, examples, validation[0], start)
    record["gain"] = asdict(gain) if gain else None
    saved = save(trunk, model, record, validation, recipe, out, out / _HISTORY)
    shutil.rmtree(out / UNFINISHED)
    return saved


def _teach(
    teachers: Sequence[Path], examples: Examples, watched: Examples, recipe: Recipe
) -> tuple[AskTeachers | None, tuple[Scheme, ...]]:
    """Run fixed teachers now and add their outputs to the targets, or return a function that runs them per batch.

    The validation faces get outputs now, so that `val_loss` counts what the loss counts.

    Returns:
        The function for the batches, or None, and the label sets that have teachers.
    """
    if not teachers:
        return None, ()
    if recipe.teaching == "fixed":
        for faces in (examples, watched):
            taught = soft_labels(teachers, faces.images, recipe.schemes)
            faces.targets.update(_soft_targets(taught, recipe.temperature))
        return None, tuple(taught)
    panel = TeacherEnsemble(teachers, recipe.schemes)

    def ask(images: npt.NDArray[np.uint8]) -> dict[str, Floats]:
        return _soft_targets(panel.answer(images), recipe.temperature)

    parts = [ask(part) for part in np.array_split(watched.images, len(watched) // _PART + 1)]
    watched.targets.update({head: np.concatenate([part[head] for part in parts]) for head in parts[0]})
    return ask, panel.schemes


def _soft_targets(answers: Mapping[Scheme, Floats], temperature: float) -> dict[str, Floats]:
    return {soft(scheme): soften(answer, temperature) for scheme, answer in answers.items()}


def _network(recipe: Recipe, taught: Sequence[Scheme], init: Path | None, freeze: Sequence[str]) -> keras.Model:
    """Build the network with all its heads, and initialise it from another model if there is one."""
    trunk = build(recipe.architecture, len(LABELS[recipe.labels]), recipe.dropout)
    if init:
        initialise(trunk, init, freeze)
    model = add_heads(trunk, recipe, taught)
    if init:
        initialise_heads(model, init, tuple(recipe.also))
        if recipe.stay_close:
            hold_near_start(model, recipe.stay_close)
    fuse_layers(model)
    return model


def _callbacks(
    recipe: Recipe, out: Path, batches: Batches, first_epoch: int, shard: Shard
) -> list[keras.callbacks.Callback]:
    """The callbacks. Their order matters: averaged weights are swapped in first, and the checkpoint comes last."""
    ema = keras.callbacks.SwapEMAWeights() if recipe.ema else None
    watching: list[keras.callbacks.Callback] = []
    if recipe.schedule == "plateau":
        watching.append(
            keras.callbacks.ReduceLROnPlateau(factor=recipe.plateau_factor, patience=recipe.plateau_patience)
        )
    if recipe.stop_patience:
        watching.append(keras.callbacks.EarlyStopping(patience=recipe.stop_patience))
    history = History(out / _HISTORY, recipe.labels, first_epoch, watching, writes=shard.writes)
    best = [KeepBest(out / UNFINISHED / _BEST, history, ema, writes=shard.writes)] if recipe.keep == "best" else []
    checkpoint = [Checkpoint(out / UNFINISHED)] if shard.writes else []
    return [*([ema] if ema else []), StartEpoch(batches), *watching, history, *best, *checkpoint]


def _finish(
    trunk: keras.Model,
    model: keras.Model,
    recipe: Recipe,
    out: Path,
    examples: Examples,
    validation: LabelledFaces,
    start: Weights | None,
) -> Gain | None:
    """Turn the weights of the last step into those to save, and compare them with the start if there was one."""
    if recipe.keep == "best":
        load_weights(model, out / UNFINISHED / _BEST)
    if recipe.ema:
        refresh_batch_norm(model, Batches(examples, recipe), len(examples) // recipe.batch_size)
    if start and recipe.start_share:
        blend(model, start, recipe.start_share)  # statistics too: few faces measure them badly
    if not start:
        return None
    return keep_start_if_no_better(model, trunk, start, validation, balanced=recipe.imbalance != "none")


def _record(
    recipe: Recipe,
    precision: Precision,
    parts: Sequence[LabelledFaces],
    teachers: Sequence[Path],
    init: Path | None,
    freeze: Sequence[str],
) -> dict[str, Any]:
    """The training record: what a reader needs to repeat the training."""
    return {
        "recipe": recipe.model_dump(mode="json"),
        "precision": precision,
        "teachers": describe(teachers),
        "init": {"model": init.name, "sha256": sha256(init.read_bytes()), "freeze": list(freeze)} if init else None,
    } | circumstances(recipe, parts)


def _copy(model: keras.Model, recipe: Recipe, taught: Sequence[Scheme]) -> tuple[keras.Model, keras.Model]:
    """Copy a trained model to float32 in this process: the classifier, and the same with all heads."""
    keras.config.set_dtype_policy("float32")
    trunk = build(recipe.architecture, len(LABELS[recipe.labels]), recipe.dropout)
    copy = add_heads(trunk, recipe, taught)
    for fresh, layer in zip(copy.layers, model.layers, strict=True):
        fresh.set_weights(layer.get_weights())
        fresh.trainable = layer.trainable  # a frozen batch norm is not measured again
    return trunk, copy
