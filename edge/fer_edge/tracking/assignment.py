"""Assign boxes to faces, so that the sum of the overlaps of all pairs is largest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def assign(gains: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pair rows with columns so that the sum of gains is largest.

    It is the Hungarian algorithm (Kuhn 1955, Munkres 1957), with cubic time at worst. SciPy has it too, but SciPy needs
    100 MB on a board.

    Args:
        gains: shape (R, C), at least 0; a gain of 0 means that the two cannot be a pair.

    Returns:
        (row, column) of each pair, by row; at most min(R, C) of them.
    """
    possible = [(row, column) for row, some in enumerate(gains) for column, gain in enumerate(some) if gain > 0]
    if all(len(set(places)) == len(possible) for places in zip(*possible, strict=True)):
        return possible  # nobody has a choice
    table = np.array(gains, np.float64)
    if table.shape[0] <= table.shape[1]:
        pairs = list(enumerate(_cheapest(-table)))
    else:
        pairs = sorted((row, column) for column, row in enumerate(_cheapest(-table.T)))
    return [(row, column) for row, column in pairs if table[row, column] > 0]


def _cheapest(costs: npt.NDArray[np.float64]) -> list[int]:
    """The column of each row so that the sum of costs is smallest; costs of shape (R, C), R <= C.

    Rows are added one by one. Each takes the shortest path to a free column, by Dijkstra's algorithm on the costs minus
    the prices of rows and columns, and the rows on the path move on by one column. Prices keep these differences at 0
    or more.
    """
    count, width = costs.shape
    row_prices, prices = np.zeros(count), np.zeros(width)
    owner = [-1] * width
    for new in range(count):
        distances, reached_from = np.full(width, np.inf), np.full(width, -1)
        done = np.zeros(width, bool)
        row, column, distance = new, -1, 0.0
        while row >= 0:
            ways = distance + costs[row] - row_prices[row] - prices
            is_shorter = ~done & (ways < distances)
            distances[is_shorter], reached_from[is_shorter] = ways[is_shorter], column
            column = int(np.where(done, np.inf, distances).argmin())
            distance = float(distances[column])
            done[column] = True
            row = owner[column]
        row_prices[new] += distance
        for passed in np.flatnonzero(done & (distances < distance)):
            row_prices[owner[passed]] += distance - distances[passed]
            prices[passed] -= distance - distances[passed]
        while column >= 0:
            before = int(reached_from[column])
            owner[column] = owner[before] if before >= 0 else new
            column = before
    columns = {row: column for column, row in enumerate(owner)}
    return [columns[row] for row in range(count)]
