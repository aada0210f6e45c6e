"""Training faces put aside to compare trainings on, so that the splits that judge a model stay out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_train.data.datasets import LabelledFaces
from fer_train.data.duplicates import without_duplicates

_SHARE = 0.1


def hold_out(parts: Sequence[LabelledFaces], seed: int) -> tuple[list[LabelledFaces], list[LabelledFaces]]:
    """Put a tenth of the training faces aside.

    Args:
        parts: the training split, once for each label scheme, the main one first: its faces are shared out.
        seed: decides which faces.

    Returns:
        What is left to train on, without the exact copies of what is held out; and what is held out, as a validation
        split. Both once for each scheme.

    Raises:
        DataError: nothing is left.
    """
    rows = np.random.default_rng(seed).permutation(parts[0].rows)[: max(round(len(parts[0]) * _SHARE), 1)]
    inside = [np.isin(part.rows, rows) for part in parts]
    held = [
        replace(part.take(np.flatnonzero(chosen)), split="validation")
        for part, chosen in zip(parts, inside, strict=True)
    ]
    rest = [
        without_duplicates(part.take(np.flatnonzero(~chosen)), held[0])
        for part, chosen in zip(parts, inside, strict=True)
    ]
    return rest, held
