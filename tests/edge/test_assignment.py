"""Pairs that are best together, against every way to pair."""

from itertools import permutations

import numpy as np
import pytest

from fer_edge.assignment import assign


def test_the_best_sum_wins_over_the_best_single_pair() -> None:
    assert assign([[0.9, 0.8], [0.8, 0.1]]) == [(0, 1), (1, 0)]


def test_what_cannot_be_a_pair_stays_alone() -> None:
    assert assign([[0.0, 0.0], [0.5, 0.0]]) == [(1, 0)]
    assert assign([]) == []
    assert assign([[], []]) == []


@pytest.mark.parametrize("seed", range(40))
def test_no_other_pairing_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gains = rng.random((rng.integers(1, 6), 5)) * rng.integers(0, 2, (1, 5))
    pairs = assign(gains.tolist())
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    every = (sum(gains[row, column] for row, column in enumerate(way)) for way in permutations(range(5), len(gains)))
    assert sum(gains[row, column] for row, column in pairs) == pytest.approx(max(every))


def test_a_crowd_is_paired_at_once() -> None:
    crowd = np.eye(60) + 0.4 * np.eye(60, k=1) + 0.4 * np.eye(60, k=-1)
    assert assign(crowd.tolist()) == [(face, face) for face in range(60)]
