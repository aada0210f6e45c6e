"""What larger models say of the training faces: soft labels to distil from (Hinton et al., 2015, arXiv:1503.02531)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.bundle import sha256
from fer_edge.errors import ConfigError
from fer_train.datasets import LABELS, Scheme
from fer_train.models import load_model, predict
from fer_train.records import KERAS_FILE, RECORD_FILE, find_scheme, training_record

_log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]


def soft_labels(
    teachers: Sequence[Path], images: npt.NDArray[np.uint8], schemes: Sequence[Scheme]
) -> dict[Scheme, Floats]:
    """Return the teachers' mean probabilities, each over a face and its mirror image.

    A teacher is asked once: its answers lie beside it as `<model>.<fingerprint>.npy`.

    Args:
        teachers: `.keras` files, or folders of runs, of which each head is a teacher.
        images: shape (N, 48, 48).
        schemes: the label schemes that are wanted.

    Returns:
        Probabilities, shape (N, C), by scheme; a scheme without a teacher is left out.

    Raises:
        ConfigError: a teacher cannot be read, or none knows any of the schemes.
    """
    heads = [head for teacher in teachers for head in _heads(teacher)]
    found: dict[Scheme, list[Floats]] = {}
    for head in heads:
        scheme = find_scheme(head, None, training_record(head), f"Keep {RECORD_FILE} of its training beside it")
        if scheme in schemes:
            found.setdefault(scheme, []).append(_ask(head, images, len(LABELS[scheme])))
    if not found:
        raise ConfigError(f"no teacher knows the labels {', '.join(schemes)}. Name a run that was trained on them")
    return {scheme: np.asarray(np.mean(answers, axis=0), np.float32) for scheme, answers in found.items()}


def describe(teachers: Sequence[Path]) -> list[dict[str, str]]:
    """Which models they are, by the end of their path and their hash."""
    heads = [head for teacher in teachers for head in _heads(teacher)]
    return [{"model": "/".join(head.parts[-2:]), "sha256": sha256(head.read_bytes())} for head in heads]


def _heads(teacher: Path) -> list[Path]:
    if not teacher.is_dir():
        return [teacher]
    heads = [*teacher.glob(KERAS_FILE), *sorted(teacher.glob(f"*/{KERAS_FILE}"))]
    if not heads:
        raise ConfigError(f"{teacher}: holds no {KERAS_FILE}. Name the folder of a finished training")
    return heads


def _ask(path: Path, images: npt.NDArray[np.uint8], classes: int) -> Floats:
    digest = hashlib.sha256(path.read_bytes())
    digest.update(images.tobytes())
    cache = path.with_name(f"{path.stem}.{digest.hexdigest()[:16]}.npy")
    if cache.is_file():
        answers: Floats = np.load(cache)
        if answers.shape == (len(images), classes):
            return answers
    _log.info("%s: is asked about %d faces", path, len(images))
    model: keras.Model = load_model(path)
    answers = (predict(model, images) + predict(model, np.ascontiguousarray(images[:, :, ::-1]))) / np.float32(2)
    aside = cache.with_name(f"{cache.stem}.part.npy")
    try:
        np.save(aside, answers)
        aside.replace(cache)
    except OSError as error:
        _log.warning("%s: the answers cannot be kept for another time (%s)", cache, error.strerror)
    return answers
