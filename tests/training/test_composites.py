"""Composite faces: what most faces of a class have in common, and no single one of them."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import DataError
from fer_train.data.composites import composite_atlas, write_atlas
from fer_train.data.datasets import LABELS, LabelledFaces

NAMES = LABELS["fer2013"]


def data_set(happy: list[npt.NDArray[np.uint8]], per_class: int = 20) -> LabelledFaces:
    """These faces are happy; each other class has so many."""
    rng = np.random.default_rng(0)
    images, classes = list(happy), [NAMES.index("happy")] * len(happy)
    for label, face in load_composites().items():
        if label != "happy":
            images += [noisy(face, rng) for _ in range(per_class)]
            classes += [NAMES.index(label)] * per_class
    targets = np.eye(7, dtype=np.float32)[classes]
    return LabelledFaces(np.array(images), targets, np.arange(len(images)), "fer2013", Path("made.csv"), "train")


def noisy(face: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    return np.clip(face + rng.normal(0, 10, face.shape), 0, 255).astype(np.uint8)


def likeness(atlas: npt.NDArray[np.uint8], face: npt.NDArray[np.uint8]) -> float:
    """Of the happy composite, wherever it was moved to."""
    start = 48 * NAMES.index("happy")
    middle = atlas[8:-8, start + 8 : start + 40]
    return float(cv2.matchTemplate(face, middle, cv2.TM_CCOEFF_NORMED).max())


def test_the_faces_that_are_most_alike_make_it_and_the_odd_ones_do_not() -> None:
    rng, face = np.random.default_rng(1), load_composites()["happy"]
    happy = [noisy(face, rng) for _ in range(30)] + [*rng.integers(0, 255, (12, 48, 48)).astype(np.uint8)]
    atlas = composite_atlas(data_set(happy), 20)
    assert atlas.shape == (48, 48 * 7)
    assert likeness(atlas, face) > 0.97


def test_a_face_that_the_data_repeats_counts_once() -> None:
    rng, face, other = np.random.default_rng(1), load_composites()["happy"], load_composites()["happy"][::-1]
    atlas = composite_atlas(data_set([noisy(face, rng) for _ in range(30)] + [other] * 90), 200)
    assert likeness(atlas, face) > 0.95


def test_a_class_of_few_faces_has_no_composite() -> None:
    with pytest.raises(DataError, match="19 faces of class angry, a composite needs 20"):
        composite_atlas(data_set([load_composites()["happy"]] * 20, per_class=19))


def test_composites_of_faces_that_are_moved_are_sharp_and_use_all_greys() -> None:
    """Each face is moved back before the mean, as far as six pixels."""
    rng, face = np.random.default_rng(1), load_composites()["happy"]
    happy = []
    for x, y in rng.integers(-5, 6, (30, 2)):
        moved = cv2.warpAffine(
            noisy(face, rng), np.array([[1, 0, x], [0, 1, y]], float), (48, 48), borderMode=cv2.BORDER_REPLICATE
        )
        happy.append(np.asarray(moved, np.uint8))
    atlas = composite_atlas(data_set(happy))
    assert likeness(atlas, face) > 0.95


def test_dark_pale_and_bright_photographs_have_the_same_weight() -> None:
    """Without that, a few photographs of strong contrast would decide."""
    rng, face, other = np.random.default_rng(1), load_composites()["happy"], load_composites()["happy"][::-1]
    pale = [np.asarray(noisy(face, rng) // 16 + rng.integers(0, 200), np.uint8) for _ in range(30)]
    atlas = composite_atlas(data_set(pale + [noisy(other, rng) for _ in range(5)]), 15)
    assert likeness(atlas, face) > 0.9


def test_the_atlas_is_written_as_it_is(tmp_path: Path) -> None:
    atlas = np.random.default_rng(0).integers(0, 256, (48, 96), np.uint8)
    write_atlas(atlas, tmp_path / "atlas.png")
    assert (tmp_path / "atlas.png").read_bytes().startswith(b"\x89PNG")
    picture = cv2.imread(str(tmp_path / "atlas.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert np.array_equal(picture, atlas)


def test_a_composite_of_one_face_is_that_face_in_its_place_with_sharper_edges() -> None:
    face = load_composites()["happy"]
    happy = [face.copy() for _ in range(24)]
    for place, image in enumerate(happy):
        image[0, place] ^= 1  # the same picture would count once
    start = 48 * NAMES.index("happy")
    found = composite_atlas(data_set(happy))[:, start : start + 48].astype(float)
    levels = face.astype(float)
    crisp = 2 * levels - cv2.GaussianBlur(levels, (0, 0), 2)
    expected = np.clip(128 + 52 * (crisp - crisp.mean()) / crisp.std(), 0, 255)
    assert np.abs(found - expected).max() < 3
