"""Make a model as sure as it is right: temperature scaling (Guo et al., 2017, arXiv:1706.04599), inside the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from fer_edge.model.bundle import Calibration
from fer_edge.model.prior import DEFAULT_POWER, prior_weights, reweight
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import calibration_error
from fer_train.keras_models import predict
from fer_train.training.losses import soften

_log = logging.getLogger(__name__)

# Probabilities, shape (N, C).
Shares = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]

# Faces below which a temperature would follow chance.
_FEWEST = 200
_RANGE = (0.5, 2.0)


def calibrate(model: keras.Model, faces: LabelledFaces, prior: Mapping[str, float]) -> Calibration | None:
    """Divide a model's logits, in place, by the temperature that suits faces it has not learnt from.

    Faces it has learnt from will not do: it is right on more of them, and so comes out too sure of all others. The
    error that is returned is cross-fitted: each half of the faces is judged at the other half's temperature.

    The runtime divides by the training prior afterwards, so the temperature is chosen for what comes out of that at
    its default power.

    Args:
        model: ends with a dense layer with softmax.
        faces: labelled.
        prior: share of each label in the training data.

    Returns:
        What was done; None, and the model as it was, if there are too few faces or its last layer is another.
    """
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax:
        _log.warning("the model does not end with a dense layer with softmax: it is not calibrated")
        return None
    if len(faces) < _FEWEST:
        _log.info("%d faces are too few to calibrate on (at least %d)", len(faces), _FEWEST)
        return None
    probabilities = predict(model, faces.images)
    weights = prior_weights(prior, DEFAULT_POWER)
    temperature = round(best_temperature(probabilities, faces.classes, weights), 4)
    last.set_weights([weight / temperature for weight in last.get_weights()])
    return Calibration(
        temperature=temperature,
        split=faces.split,
        images=len(faces),
        ece_before=round(calibration_error(reweight(probabilities, weights), faces.classes), 4),
        ece=round(calibration_error(cross_fitted(probabilities, faces.classes, weights), faces.classes), 4),
        prior=DEFAULT_POWER,
    )


def best_temperature(probabilities: Shares, classes: Classes, weights: Shares) -> float:
    """The temperature at which the labels are most likely; `weights`, shape (C,), are those of the prior."""

    def surprise(temperature: float) -> float:
        said = reweight(soften(probabilities, temperature), weights)[np.arange(len(classes)), classes]
        return float(-np.log(said).mean())

    return float(minimize_scalar(surprise, bounds=_RANGE, method="bounded").x)


def cross_fitted(probabilities: Shares, classes: Classes, weights: Shares, seed: int = 0) -> Shares:
    """The same, each half of the faces at the temperature that suits the other."""
    halves = np.array_split(np.random.default_rng(seed).permutation(len(classes)), 2)
    out = np.empty_like(probabilities)
    for half, other in (halves, halves[::-1]):
        temperature = best_temperature(probabilities[other], classes[other], weights)
        out[half] = reweight(soften(probabilities[half], temperature), weights)
    return out
