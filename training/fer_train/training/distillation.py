"""Knowledge distillation: teachers' probabilities as soft labels (Hinton et al., 2015, arXiv:1503.02531)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from fer_edge.errors import ConfigError, ModelError
from fer_edge.model.bundle import sha256
from fer_edge.preprocess import MODEL_SIZE
from fer_train.data.datasets import LABELS, Scheme
from fer_train.keras_models import load_model, predict
from fer_train.runs.records import KERAS_FILE, RECORD_FILE, find_scheme, training_record
from fer_train.training.distributed import undistributed
from fer_train.training.torch_kernels import fuse_layers

_log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]


def soft_labels(
    teachers: Sequence[Path], images: npt.NDArray[np.uint8], schemes: Sequence[Scheme]
) -> dict[Scheme, Floats]:
    """Return the teachers' mean probabilities, each over a face and its mirror image.

    Each teacher runs once. Its outputs are cached beside it as `<model>.<fingerprint>.npy`.

    Args:
        teachers: `.keras` files, or folders of runs, of which each head is a teacher.
        images: shape (N, 48, 48).
        schemes: the label sets to return.

    Returns:
        Probabilities, shape (N, C), per label set. A label set without a teacher is missing.

    Raises:
        ConfigError: a teacher is missing, or no teacher was trained on any of the label sets.
        ModelError: a teacher cannot be read, or has other classes than its record says.
    """
    found: dict[Scheme, list[Floats]] = {}
    for head, scheme in _usable(teachers, schemes):
        found.setdefault(scheme, []).append(_ask(head, images, scheme))
    return {scheme: np.asarray(np.mean(answers, axis=0), np.float32) for scheme, answers in found.items()}


class TeacherEnsemble:
    """Several teachers that return their mean probabilities for a batch.

    Args:
        teachers: `.keras` files, or folders of runs, of which each head is a teacher.
        schemes: the label sets to return.

    Raises:
        ConfigError: a teacher is missing, or no teacher was trained on any of the label sets.
        ModelError: a teacher cannot be read, or has other classes than its record says.
    """

    def __init__(self, teachers: Sequence[Path], schemes: Sequence[Scheme]) -> None:
        inputs = keras.Input((MODEL_SIZE, MODEL_SIZE, 1))
        found: dict[Scheme, list[keras.KerasTensor]] = {}
        with undistributed():
            trunk: keras.Model | None = None
            for number, (path, scheme) in enumerate(_usable(teachers, schemes)):
                model = _load(path, scheme)
                if model.input_shape[1:] != inputs.shape[1:]:
                    raise ModelError(f"{path}: its input is {model.input_shape[1:]}. Give --set teaching=fixed")
                if not _ends_in_a_head(model):
                    found.setdefault(scheme, []).append(_renamed(model, f"teacher{number}")(inputs))
                    continue
                *layers, head = model.layers
                if trunk is None or not _have_same_weights(trunk, layers):
                    trunk = keras.Model(model.input, head.input, name=f"trunk{number}")
                    fuse_layers(trunk)
                    features = trunk(inputs)
                head = keras.Model(head.input, head.output, name=f"head{number}")
                found.setdefault(scheme, []).append(head(features))
            self._model = keras.Model(
                inputs, {scheme: ops.mean(ops.stack(outputs), axis=0) for scheme, outputs in found.items()}
            )

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """The label sets for which there is a teacher."""
        return tuple(self._model.output)

    def answer(self, images: npt.NDArray[np.uint8]) -> dict[Scheme, Floats]:
        """Probabilities, shape (N, C), per label set, for grey faces of shape (N, 48, 48)."""
        with undistributed():
            answers = self._model.predict_on_batch(images[..., None])
        return {scheme: np.asarray(answer, np.float32) for scheme, answer in answers.items()}


def describe(teachers: Sequence[Path]) -> list[dict[str, str]]:
    """Identify the models by the end of their path and their SHA-256."""
    heads = [head for teacher in teachers for head in _heads(teacher)]
    return [{"model": "/".join(head.parts[-2:]), "sha256": sha256(head.read_bytes())} for head in heads]


def _usable(teachers: Sequence[Path], schemes: Sequence[Scheme]) -> list[tuple[Path, Scheme]]:
    """The models that were trained on one of the label sets, with that label set."""
    known = [
        (head, find_scheme(head, None, training_record(head), f"Keep {RECORD_FILE} of its training beside it"))
        for teacher in teachers
        for head in _heads(teacher)
    ]
    usable = [(head, scheme) for head, scheme in known if scheme in schemes]
    if not usable:
        raise ConfigError(f"no teacher was trained on the labels {', '.join(schemes)}. Name a run that was")
    return usable


def _load(path: Path, scheme: Scheme) -> keras.Model:
    model = load_model(path)
    if model.output_shape[1] != len(LABELS[scheme]):
        raise ModelError(
            f"{path}: has {model.output_shape[1]} classes, but {scheme} has {len(LABELS[scheme])}. "
            f"Fix the scheme in {RECORD_FILE} beside it"
        )
    return model


def _ends_in_a_head(model: keras.Model) -> bool:
    """Whether the last layer is the whole head, as in our own networks."""
    return isinstance(model.layers[0], keras.layers.InputLayer) and model.output is model.layers[-1].output


def _renamed(model: keras.Model, name: str) -> keras.Model:
    """Wrap a model under another name: two parts of one model may not have the same name."""
    inputs = keras.Input((MODEL_SIZE, MODEL_SIZE, 1))
    return keras.Model(inputs, model(inputs), name=name)


def _have_same_weights(trunk: keras.Model, layers: Sequence[keras.layers.Layer]) -> bool:
    """Whether layers equal a trunk: the heads of one run are each saved with the same trunk."""
    weights = [weight for layer in layers for weight in layer.get_weights()]
    others = trunk.get_weights()
    return len(weights) == len(others) and all(map(np.array_equal, weights, others))


def _heads(teacher: Path) -> list[Path]:
    if not teacher.is_dir():
        return [teacher]
    heads = [*teacher.glob(KERAS_FILE), *sorted(teacher.glob(f"*/{KERAS_FILE}"))]
    if not heads:
        raise ConfigError(f"{teacher}: holds no {KERAS_FILE}. Name the folder of a finished training")
    return heads


def _ask(path: Path, images: npt.NDArray[np.uint8], scheme: Scheme) -> Floats:
    digest = hashlib.sha256(path.read_bytes())
    digest.update(images.tobytes())
    cache = path.with_name(f"{path.stem}.{digest.hexdigest()[:16]}.npy")
    if cache.is_file():
        answers: Floats = np.load(cache)
        if answers.shape == (len(images), len(LABELS[scheme])):
            return answers
    _log.info("%s: teacher predicts %d faces", path, len(images))
    model = _load(path, scheme)
    answers = (predict(model, images) + predict(model, np.ascontiguousarray(images[:, :, ::-1]))) / np.float32(2)
    aside = cache.with_name(f"{cache.stem}.part.npy")
    try:
        np.save(aside, answers)
        aside.replace(cache)
    except OSError as error:
        _log.warning("%s: the teacher's outputs cannot be cached (%s)", cache, error.strerror)
    return answers
