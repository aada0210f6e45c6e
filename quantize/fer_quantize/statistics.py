"""How sure the comparison of two models on the same faces is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from fer_train.evaluation.metrics import Interval

# The normal distribution's 97.5th percentile.
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class PairedDrop:
    """What the second of two models lost on the same faces.

    Attributes:
        drop: accuracy lost, in percentage points.
        interval: its 95 % confidence interval.
        lost: faces that only the first model has right.
        gained: faces that only the second has right.
        p_value: of McNemar's exact test that losses and gains are chance.
    """

    drop: float
    interval: Interval
    lost: int
    gained: int
    p_value: float


def paired_drop(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> PairedDrop:
    """Compare which faces are right before and after, shape (N,) each.

    The interval is that of Agresti & Min (2005): Wald's, with half a face added to each cell of the table, so that it
    keeps its width where few faces changed. The test is McNemar's (1947) in its exact, binomial form.
    """
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    count = len(before)
    centre = (lost - gained) / (count + 2)
    spread = _Z95 * math.sqrt(lost + gained + 1 - (lost - gained) ** 2 / (count + 2)) / (count + 2)
    return PairedDrop(
        drop=100 * (lost - gained) / count,
        interval=(100 * (centre - spread), 100 * (centre + spread)),
        lost=lost,
        gained=gained,
        p_value=float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0,
    )
