"""Duplicate images in a data set."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.data.duplicates import duplicate_groups, without_duplicates

FACES = np.stack(list(load_composites().values()))


@pytest.fixture
def train(tiny_data: Path) -> LabelledFaces:
    return load_dataset(tiny_data, "train", "ferplus7")


def test_the_same_pixels_are_one_group() -> None:
    assert duplicate_groups(FACES[[0, 1, 0, 2, 1]]).tolist() == [0, 1, 0, 3, 1]


def test_exact_copies_are_found_among_near_ones_too_even_of_a_flat_picture() -> None:
    """A flat picture is like no other, but the same as its copy."""
    flat = np.full((2, 48, 48), 90, np.uint8)
    groups = duplicate_groups(np.concatenate([flat[:1], FACES[:1], flat[1:], FACES[:1], flat[:1] + 1]), near=True)
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]
    assert len(set(groups.tolist())) == 3


def test_another_size_light_or_mark_is_nearly_the_same_and_another_face_is_not() -> None:
    face = FACES[5]
    smaller = cv2.resize(cv2.resize(face, (30, 30)), (48, 48))
    darker = (face * 0.6 + 10).astype(np.uint8)
    marked = cv2.putText(face.copy(), "stock", (8, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 200)
    black = np.zeros_like(face)
    pictures = np.stack([face, FACES[0], smaller, darker, marked, black, black, black + 3])
    groups = duplicate_groups(pictures, near=True).tolist()
    assert groups == [groups[0], groups[1], *[groups[0]] * 3, groups[5], groups[5], groups[7]]
    assert len(set(groups)) == 4
    assert len(set(duplicate_groups(pictures).tolist())) == 7


def test_pictures_are_alike_from_a_correlation_of_96_percent_on() -> None:
    happy, neutral = FACES[3].astype(float), FACES[6].astype(float)
    correlations = {True: [1.0], False: [0.0]}
    for share in np.linspace(0.2, 0.8, 13):
        pair = np.stack([happy, share * happy + (1 - share) * neutral]).round().astype(np.uint8)
        coarse = [cv2.resize(picture, (12, 12), interpolation=cv2.INTER_AREA).ravel() for picture in pair]
        first, second = duplicate_groups(pair, near=True)
        correlations[bool(first == second)].append(np.corrcoef(coarse)[0, 1])
    assert 0.96 <= min(correlations[True]) < 0.97
    assert 0.95 < max(correlations[False]) < 0.96


def test_near_duplicates_are_found_however_far_apart() -> None:
    pictures = np.random.default_rng(0).integers(0, 200, (1100, 48, 48), np.uint8)
    pairs = [(3, 9), (5, 1090), (600, 640), (700, 1060)]
    for first, second in pairs:
        pictures[second] = pictures[first] + 9
    groups = duplicate_groups(pictures, near=True)
    assert [groups[first] == groups[second] for first, second in pairs] == [True] * 4
    assert len(set(groups.tolist())) == 1096


def test_training_pictures_that_another_split_holds_are_left_out(train: LabelledFaces) -> None:
    part, check = train.take(np.arange(100)), replace(train.take(np.arange(90, 120)), split="validation")
    assert without_duplicates(part, of=check).rows.tolist() == part.rows[:90].tolist()
    darker = replace(check, images=(check.images * 0.9).astype(np.uint8))
    assert len(without_duplicates(part, of=darker)) == 100
    assert len(without_duplicates(part, of=darker, near=True)) <= 90
    with pytest.raises(DataError, match="every training image"):
        without_duplicates(part.take(np.arange(95, 100)), of=check)


@pytest.mark.slow
def test_how_many_validation_pictures_fer2013_trains_on(fer_data: Path) -> None:
    train = load_dataset(fer_data, "train")
    validation = load_dataset(fer_data, "validation")
    assert len(train) - len(without_duplicates(train, of=validation)) == 340
