"""Who is who: the pairing of two sets that makes the most of all pairs together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache


def assign(gains: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pair rows with columns so that the sum of gains is greatest.

    By dynamic programming over the columns taken: quick because most gains are 0, as a face overlaps few boxes. SciPy's
    Hungarian algorithm does the same, but would cost a board 100 MB.

    Args:
        gains: shape (R, C), at least 0; a gain of 0 means that the two cannot be a pair.

    Returns:
        (row, column) of each pair, by row; at most min(R, C) of them.
    """
    options = [{column: gain for column, gain in enumerate(row) if gain > 0} for row in gains]
    wanted_later = [frozenset().union(*options[row + 1 :]) for row in range(len(options))]

    @cache
    def best(row: int, taken: frozenset[int]) -> tuple[float, tuple[tuple[int, int], ...]]:
        if row == len(options):
            return 0.0, ()
        choices = [best(row + 1, taken & wanted_later[row])]
        for column, gain in options[row].items():
            if column not in taken:
                total, pairs = best(row + 1, (taken | {column}) & wanted_later[row])
                choices.append((gain + total, ((row, column), *pairs)))
        return max(choices)

    return list(best(0, frozenset())[1])
