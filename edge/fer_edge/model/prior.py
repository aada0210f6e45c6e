"""Correct probabilities for how rare a class was in the training data.

A model learns how frequent each class is, and so rarely names a rare one. Dividing by that prior takes it back:
Saerens et al., 2002 (doi:10.1162/089976602753284446); with a power, the logit adjustment after training of
Menon et al., 2020 (arXiv:2007.07314).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fer_edge.types import Probabilities

# The negative log-likelihood of the FER+ bundles is lowest there: models/README.md shows the whole curve.
DEFAULT_POWER = 0.15


def prior_weights(prior: Mapping[str, float], power: float) -> npt.NDArray[np.float32]:
    """What to multiply the probabilities of each class by, shape (C,).

    Args:
        prior: share of each label in the training data; a label that never occurs there keeps its probability.
        power: 0 changes nothing; 1 reads as if all labels were equally frequent.
    """
    shares = np.array(list(prior.values()), np.float64)
    return np.asarray(np.where(shares > 0, shares, 1.0) ** -power, np.float32)


def reweight(probabilities: Probabilities, weights: npt.NDArray[np.float32]) -> Probabilities:
    """Multiply probabilities, shape (C,) or (N, C), by weights, shape (C,), so that they sum to one again."""
    weighted = probabilities * weights
    return np.asarray(weighted / np.maximum(weighted.sum(axis=-1, keepdims=True), 1e-6), np.float32)
