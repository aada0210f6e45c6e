"""The representative data set: the training faces that set the ranges of the int8 tensors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces


def representative_rows(train: LabelledFaces, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose faces at random, as evenly from all classes as possible.

    Returns:
        Positions in `train` (not rows of its file), sorted: shape (count,), or all where there are fewer.

    Raises:
        DataError: the faces are not from the training split. Ranges set on test data would make the check too good.
    """
    if train.split != "train":
        raise DataError(f"{train.source}: the {train.split} split cannot be the representative set, only train can")
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(train))
    classes = train.classes[shuffled]
    turn = np.zeros(len(train), np.int64)
    for label in range(len(train.labels)):
        mine = classes == label
        turn[mine] = np.arange(mine.sum())
    in_turns = shuffled[np.argsort(turn, kind="stable")]
    return np.sort(in_turns[:count])
