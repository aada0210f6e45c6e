"""Divide probabilities by the training prior, so that rare classes are predicted more often.

A model learns the class frequencies of its training data, and so rarely predicts a rare class. Dividing by these
frequencies corrects that: Saerens et al., 2002 (doi:10.1162/089976602753284446). With a power, it is the post-hoc
logit adjustment of Menon et al., 2020 (arXiv:2007.07314).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fer_edge.types import Probabilities

# The negative log-likelihood of the FER+ bundles is lowest at this power: models/README.md shows the whole curve.
DEFAULT_POWER = 0.15


def prior_weights(prior: Mapping[str, float], power: float) -> npt.NDArray[np.float32]:
    """Weights by which the probabilities of each class are multiplied, shape (C,).

    Args:
        prior: fraction of each label in the training data; a label that never occurs gets weight 1.
        power: 0 changes nothing; 1 treats all labels as equally frequent.
    """
    frequencies = np.array(list(prior.values()), np.float64)
    return np.asarray(np.where(frequencies > 0, frequencies, 1.0) ** -power, np.float32)


def reweight(probabilities: Probabilities, weights: npt.NDArray[np.float32]) -> Probabilities:
    """Multiply probabilities, shape (C,) or (N, C), by weights, shape (C,), and normalise them."""
    weighted = probabilities * weights
    return np.asarray(weighted / np.maximum(weighted.sum(axis=-1, keepdims=True), 1e-6), np.float32)
