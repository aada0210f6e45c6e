"""Pairs that are best together, against every way to pair."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fer_edge.geometry import iou
from fer_edge.tracking.assignment import assign
from fer_edge.types import FaceBox


def test_the_best_sum_wins_over_the_best_single_pair() -> None:
    assert assign([[0.9, 0.8], [0.8, 0.1]]) == [(0, 1), (1, 0)]


def test_what_cannot_be_a_pair_stays_alone() -> None:
    assert assign([[0.0, 0.0], [0.5, 0.0]]) == [(1, 0)]
    assert assign([]) == []
    assert assign([[], []]) == []
    assert assign([[True, False]]) == [(0, 0)]


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


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (1, 7), (25, 25)])
def test_many_are_paired_as_well_as_by_scipy(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    gains = rng.random(shape) * (rng.random(shape) < 0.3)
    pairs = assign(gains.tolist())
    assert pairs == sorted(pairs)
    assert all(gains[pair] > 0 for pair in pairs)
    best = gains[linear_sum_assignment(gains, maximize=True)].sum()
    assert sum(gains[pair] for pair in pairs) == pytest.approx(best)


def test_a_lattice_of_overlapping_boxes_is_no_burden() -> None:
    """Trying all ways would take years."""
    boxes = [FaceBox(51 * x, 51 * y, 100, 100) for y in range(9) for x in range(9)]
    shared = [[share if (share := iou(one, other)) >= 0.3 else 0.0 for other in boxes] for one in boxes]
    assert assign(shared) == [(face, face) for face in range(81)]


def test_hundreds_are_no_burden() -> None:
    assert len(assign(np.eye(1200, 400).tolist())) == 400
