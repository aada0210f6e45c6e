"""The recorded features and their fixed bins."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Feature:
    """One measured quantity.

    Attributes:
        name: its key in the record.
        unit: unit of its values.
        edges: edges between the bins, ascending: bin 0 is below the first, the last bin starts at the last one.
    """

    name: str
    unit: str
    edges: tuple[float, ...]

    def bin_of(self, value: float) -> int:
        """The bin of a value, 0 to `len(edges)`; an edge belongs to the bin above it."""
        return bisect_right(self.edges, value)

    def centres(self) -> tuple[float, ...]:
        """One value per bin, for means: between its edges, or the nearest edge for the two outer bins."""
        middles = tuple((low + high) / 2 for low, high in pairwise(self.edges))
        return (self.edges[0], *middles, self.edges[-1])

    def mean(self, counts: Counter[int]) -> float | None:
        """The mean of a histogram, with the precision of its bins; None without values."""
        total = sum(counts.values())
        centres = self.centres()
        return sum(centres[index] * count for index, count in counts.items()) / total if total else None


def _steps(start: float, stop: float, count: int) -> tuple[float, ...]:
    return tuple(round(start + (stop - start) * index / count, 6) for index in range(1, count))


# These are recorded once per second for each face in view. Entropy is divided by that of equal probabilities. Size is
# the longer side of the box. Brightness, contrast (standard deviation) and sharpness (variance of the Laplacian;
# Pech-Pacheco et al., 2000, doi:10.1109/ICPR.2000.903548) are those of the model's 48x48 input.
FACE_FEATURES = (
    Feature("confidence", "0..1", _steps(0, 1, 20)),
    Feature("entropy", "0..1", _steps(0, 1, 20)),
    Feature("size", "pixels", (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)),
    Feature("brightness", "grey levels", _steps(0, 256, 16)),
    Feature("contrast", "grey levels", _steps(0, 96, 16)),
    Feature("sharpness", "grey levels squared", tuple(float(2**power) for power in range(1, 14))),
    Feature("score", "0..1", _steps(0, 1, 10)),
)
# Of each face, where the model's bundle has a reference: the chance that the label of this picture is right.
EXPECTED = Feature("expected", "0..1", _steps(0, 1, 20))
# This is recorded for each frame.
LATENCY = Feature("latency", "ms", (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000))

FEATURES = {feature.name: feature for feature in (*FACE_FEATURES, EXPECTED, LATENCY)}
