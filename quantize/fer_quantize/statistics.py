"""Statistics for comparing two models on the same faces."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from fer_train.evaluation.metrics import Interval

# This is the 97.5th percentile of the normal distribution.
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class PairedDrop:
    """How much accuracy the second of two models loses on the same faces.

    Attributes:
        drop: accuracy lost, in percentage points.
        interval: its 95 % confidence interval.
        lost: faces that only the first model classifies correctly.
        gained: faces that only the second model classifies correctly.
        p_value: p-value of McNemar's exact test; the null hypothesis is that losses and gains are equally likely.
    """

    drop: float
    interval: Interval
    lost: int
    gained: int
    p_value: float


def paired_drop(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> PairedDrop:
    """Compare which faces are classified correctly before and after, shape (N,) each.

    The interval is Agresti & Min's (2005): Wald's interval with half a face added to each cell of the table, so that
    it does not become too narrow when few faces change. The test is McNemar's (1947) in its exact, binomial form.
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
