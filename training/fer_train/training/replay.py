"""Old faces to learn beside the few samples of a device, so that the model forgets nothing and sees enough."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from fer_train.data.camera_match import match_camera
from fer_train.data.datasets import LabelledFaces
from fer_train.keras_models import predict

# Old faces per sample, and the share of them that is shown as the device's camera would show them.
_PER_SAMPLE, _AS_TAKEN = 8, 0.25
# Weight of a sample's label in its target; the rest is the starting model's answer.
_LABEL = 0.7


def with_replay(samples: LabelledFaces, old: LabelledFaces, start: keras.Model, seed: int) -> LabelledFaces:
    """Return the samples, followed by old faces, some of them as the device's camera would show them.

    The targets of all old faces are the starting model's probabilities for them as they are. So it keeps what it knew
    (learning without forgetting: Li & Hoiem, arXiv:1606.09282), and learns to read the same from worse pictures. Labels
    of a few hundred faces alone make it worse, by overfitting.

    Args:
        samples: labelled faces of the device.
        old: faces that the model was trained on, with the same label set.
        start: the model before.
        seed: chooses the old faces.
    """
    rng = np.random.default_rng(seed)
    chosen = old.take(rng.permutation(len(old))[: _PER_SAMPLE * len(samples)])
    changed = round(_AS_TAKEN * len(chosen))
    as_taken = match_camera(chosen.images[:changed], samples.images, rng)
    images = np.concatenate([samples.images, as_taken, chosen.images[changed:]])
    taught = _LABEL * samples.targets + (1 - _LABEL) * predict(start, samples.images)
    targets = np.concatenate([taught, predict(start, chosen.images)]).astype(np.float32)
    return replace(samples, images=images, targets=targets, rows=np.arange(len(images)), files=())
