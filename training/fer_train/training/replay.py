"""Old faces to learn beside the few samples of a device, so that the model forgets nothing and sees enough."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt

from fer_train.data.camera_match import match_camera, turn
from fer_train.data.datasets import LabelledFaces
from fer_train.keras_models import predict

# Old faces, and the share of them that is shown as the device's camera would show them.
_OLD_FACES, _AS_TAKEN = 9600, 0.7
# How often each sample is learnt.
_REPEATS = 2
# Weight of the label in the target of a sample and of an old face; the rest is the starting model's answer.
_LABEL, _OLD_LABEL = 0.7, 0.5
# Tilts of the camera that are tried, in degrees counter-clockwise.
_TILTS = range(-40, 41, 5)
# This keeps logarithms finite.
_TINY = 1e-7


def with_replay(samples: LabelledFaces, old: LabelledFaces, start: keras.Model, seed: int) -> LabelledFaces:
    """Return the samples, followed by old faces, some of them as the device's camera would show them.

    Half of the target of each old face is the starting model's answer for it as it is. So the model keeps what it knew
    (learning without forgetting: Li & Hoiem, arXiv:1606.09282), and learns to read the same from worse pictures. Labels
    of a few hundred faces alone make it worse, by overfitting.

    Half of the old faces are mirrored here, before they are tilted: the camera's tilt has one direction, so the recipe
    must not mirror.

    Args:
        samples: labelled faces of the device.
        old: faces that the model was trained on, with the same label set; they are repeated if they are few.
        start: the model before.
        seed: chooses the old faces.
    """
    rng = np.random.default_rng(seed)
    chosen = old.take(np.resize(rng.permutation(len(old)), _OLD_FACES))
    faces = np.where(rng.random((len(chosen), 1, 1)) < 0.5, chosen.images, _mirrored(chosen.images))
    changed = round(_AS_TAKEN * len(chosen))
    as_taken = match_camera(turn(faces[:changed], find_tilt(samples, start)), samples.images, rng)
    taught = _LABEL * samples.targets + (1 - _LABEL) * predict(start, samples.images)
    answers = (predict(start, chosen.images) + predict(start, _mirrored(chosen.images))) / 2
    old_targets = _OLD_LABEL * chosen.targets + (1 - _OLD_LABEL) * answers
    images = np.concatenate([np.tile(samples.images, (_REPEATS, 1, 1)), as_taken, faces[changed:]])
    targets = np.concatenate([np.tile(taught, (_REPEATS, 1)), old_targets]).astype(np.float32)
    return replace(samples, images=images, targets=targets, rows=np.arange(len(images)), files=())


def find_tilt(samples: LabelledFaces, model: keras.Model) -> int:
    """Return the tilt of the camera, in degrees counter-clockwise: turned back by it, the model reads the samples best.

    It is 0 unless the mean log probability of the labels is then higher by two standard errors, paired by face.
    """
    faces = np.arange(len(samples))
    readings = {
        tilt: np.log(predict(model, turn(samples.images, -tilt))[faces, samples.classes] + _TINY) for tilt in _TILTS
    }
    best = max(_TILTS, key=lambda tilt: float(readings[tilt].mean()))
    gain = readings[best] - readings[0]
    return best if gain.mean() > 2 * gain.std() / np.sqrt(len(gain)) else 0


def _mirrored(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(faces[:, :, ::-1])
