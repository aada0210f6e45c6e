"""Temperature scaling (Guo et al., 2017, arXiv:1706.04599), written into the model: confidence then fits accuracy."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from fer_edge.model.manifest import Calibration
from fer_edge.model.prior import DEFAULT_POWER, prior_weights, reweight
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import calibration_error
from fer_train.keras_models import predict
from fer_train.training.losses import soften

_log = logging.getLogger(__name__)

# These are probabilities, shape (N, C).
Probabilities = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]

# With fewer faces than this, the temperature would depend on chance.
_FEWEST = 200
# The lowest and the highest temperature that is tried.
TEMPERATURES = (0.5, 2.0)


def calibrate(model: keras.Model, faces: LabelledFaces, prior: Mapping[str, float]) -> Calibration | None:
    """Divide a model's logits, in place, by the temperature that fits faces it was not trained on.

    Training faces cannot be used: accuracy is higher on them, so the model would be overconfident on all others. The
    returned calibration error is cross-fitted: each half of the faces is measured at the other half's temperature.

    The runtime divides by the training prior afterwards. The temperature is chosen for the probabilities after that
    division at its default power.

    Args:
        model: ends with a dense layer with softmax.
        faces: labelled.
        prior: fraction of each label in the training data.

    Returns:
        The calibration. None if there are too few faces or the last layer is not a dense softmax layer; the model is
        then unchanged.
    """
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax:
        _log.warning("the model is not calibrated: its last layer is not a dense layer with softmax")
        return None
    if len(faces) < _FEWEST:
        _log.info("the model is not calibrated: %d faces are too few (at least %d)", len(faces), _FEWEST)
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


def best_temperature(probabilities: Probabilities, classes: Classes, weights: Probabilities) -> float:
    """The temperature with the lowest negative log-likelihood; `weights`, shape (C,), are those of the prior."""

    def negative_log_likelihood(temperature: float) -> float:
        said = reweight(soften(probabilities, temperature), weights)[np.arange(len(classes)), classes]
        return float(-np.log(said).mean())

    return float(minimize_scalar(negative_log_likelihood, bounds=TEMPERATURES, method="bounded").x)


def cross_fitted(
    probabilities: Probabilities, classes: Classes, weights: Probabilities, seed: int = 0
) -> Probabilities:
    """Probabilities with each half of the faces at the temperature that fits the other half."""
    halves = np.array_split(np.random.default_rng(seed).permutation(len(classes)), 2)
    out = np.empty_like(probabilities)
    for half, other in (halves, halves[::-1]):
        temperature = best_temperature(probabilities[other], classes[other], weights)
        out[half] = reweight(soften(probabilities[half], temperature), weights)
    return out
