"""Turn a Keras model that was made elsewhere into one like ours: levels in, probabilities in our order out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError, ModelError
from fer_edge.labels import FER2013, FERPLUS8
from fer_edge.model.bundle import sha256
from fer_edge.model.preprocessing import Colour, Outputs, kind_of_outputs
from fer_edge.model.wrap import input_colour
from fer_train.data.datasets import LABELS, Scheme
from fer_train.data.datasets.class_names import LEFT_OUT, find_classes
from fer_train.files import make_folder, require_new_folder, write_whole
from fer_train.keras_models import ADAPTED, load_any_model, predict
from fer_train.model_input import model_input
from fer_train.runs.records import KERAS_FILE, RECORD_FILE

_CONTEMPT = FERPLUS8[-1]


@dataclass(frozen=True, slots=True)
class Description:
    """What is known about a foreign model.

    Attributes:
        labels: in the order of its outputs.
        colour: of the crops that it was trained on; None for grey with one channel and RGB with three.
        mean: subtracted from a level, 0..255; one number, or one per channel.
        scale: by which it is divided then.
        outputs: what they are; None to find out.
    """

    labels: tuple[str, ...]
    colour: Colour | None
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    outputs: Outputs | None


@dataclass(frozen=True, slots=True)
class Adapted:
    """The result.

    Attributes:
        colour: of the crops that it wants.
        outputs: what the foreign model's outputs were.
        scheme: the label set of its outputs now.
        same: how many of the composite faces get their own label.
        known: how many there are.
    """

    colour: Colour
    outputs: Outputs
    scheme: Scheme
    same: int
    known: int


def adapt(path: Path, out: Path, description: Description) -> Adapted:
    """Write a model that gives the foreign one what it wants, and puts its outputs into our order.

    `out` gets `model.keras` and `training.json`, as a training writes them: evaluate, fer-quantize, export and distill
    take it.

    Args:
        path: a `.keras` or `.h5` model for a square of 32 to 224 pixels with one or three channels.
        out: a new folder.
        description: what is known about the model.

    Raises:
        ModelError: the model cannot be read, or does not classify faces.
        ConfigError: the description does not fit it, or `out` is not empty.
    """
    require_new_folder(out)
    foreign = load_any_model(path)
    channels = foreign.input_shape[3]
    for option, numbers in (("--mean", description.mean), ("--scale", description.scale)):
        if len(numbers) not in {1, channels}:
            raise ConfigError(f"{option}: the model has {channels} channels. Give one number, or one per channel")
    if min(description.scale) <= 0:
        raise ConfigError("--scale: must be greater than 0")
    colour = input_colour(description.colour, channels)
    scheme, order = _order(path, description.labels, foreign.output_shape[1])
    levels = keras.Input((*foreign.input_shape[1:3], 1 if colour == "grey" else 3), name="levels")
    raw = foreign(_prepared(levels, channels, description))
    outputs = description.outputs or _find_outputs(path, keras.Model(levels, raw))
    probabilities = keras.layers.Softmax()(raw) if outputs == "logits" else raw
    if order != sorted(order):
        probabilities = ops.take(probabilities, order, axis=-1)
    model = keras.Model(levels, probabilities, name=ADAPTED)
    make_folder(out)
    model.save(out / KERAS_FILE)
    record = {
        "scheme": scheme,
        "labels": list(LABELS[scheme]),
        "foreign": {"model": path.name, "sha256": sha256(path.read_bytes()), "colour": colour},
    }
    write_whole(out / RECORD_FILE, (json.dumps(record, indent=2) + "\n").encode())
    composites = load_composites()
    answers = predict(model, np.array(list(composites.values()))).argmax(axis=1)
    same = sum(LABELS[scheme][answer] == label for answer, label in zip(answers, composites, strict=True))
    return Adapted(colour, outputs, scheme, same, len(composites))


def foreign_colour(training: dict[str, object]) -> Colour | None:
    """The colour of the crops that a foreign model wants, by its record; None for a model of ours."""
    record = training.get("foreign")
    return record.get("colour") if isinstance(record, dict) else None


def _order(path: Path, labels: Sequence[str], classes: int) -> tuple[Scheme, list[int]]:
    """The label set, and for each of its labels the position among the foreign model's outputs."""
    if len(labels) != classes:
        raise ConfigError(f"{path}: has {classes} classes, but --labels names {len(labels)}: {', '.join(labels)}")
    meanings = find_classes(labels, path)
    ours = [meanings[label] if meanings[label] != LEFT_OUT else _CONTEMPT for label in labels]
    sets: dict[Scheme, tuple[str, ...]] = {"fer2013": FER2013, "ferplus8": FERPLUS8}
    for scheme, wanted in sets.items():
        if sorted(ours) == sorted(wanted):
            return scheme, [ours.index(label) for label in wanted]
    raise ConfigError(
        f"--labels: {', '.join(ours)} are not {', '.join(FER2013)}, with or without {_CONTEMPT}. "
        "fer-edge models wrap takes a TFLite model with any classes"
    )


def _prepared(levels: keras.KerasTensor, channels: int, description: Description) -> keras.KerasTensor:
    """From levels 0..255 to what the foreign model was trained on."""
    if channels > levels.shape[3]:
        levels = keras.layers.Concatenate()([levels] * channels)
    mean, scale = (np.resize(numbers, channels) for numbers in (description.mean, description.scale))
    if (mean == 0).all() and (scale == 1).all():
        return levels
    return keras.layers.Normalization(mean=mean, variance=scale**2)(levels)


def _find_outputs(path: Path, model: keras.Model) -> Outputs:
    """Run the model on the composite faces, and look at what it gives."""
    faces = model_input(np.array(list(load_composites().values())), model.input_shape[1:])
    values: npt.NDArray[np.float32] = np.asarray(model.predict(faces, verbose=0), np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"{path}: its outputs are not finite. Check --mean and --scale")
    if kind := kind_of_outputs(values):
        return kind
    raise ConfigError(
        f"{path}: its outputs for a face sum to {values[0].sum():.2f}: give --outputs logits if they need a softmax"
    )
