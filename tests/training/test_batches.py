"""The batches of a training: resumed, mixed, balanced and weighted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.recipes import Recipe

load_keras()

from fer_train.training.batches import Batch, Batches, join  # noqa: E402 - Keras is quiet only when it is loaded first
from fer_train.training.distributed import Shard  # noqa: E402
from fer_train.training.losses import AdjustedCrossentropy, losses  # noqa: E402


@pytest.fixture(scope="module")
def faces(tiny_data: Path) -> LabelledFaces:
    return load_dataset(tiny_data, "train")


def all_of(batches: Batches) -> Iterator[Batch]:
    return (batches[index] for index in range(len(batches)))


def test_an_epoch_has_the_same_batches_whenever_it_begins(faces: LabelledFaces) -> None:
    recipe = Recipe(batch_size=50, mixup=0.3)
    through, resumed = (Batches(join([faces]), recipe) for _ in range(2))
    for epoch in range(3):
        through.start_epoch(epoch)
        list(all_of(through))
    resumed.start_epoch(2)
    for one, other in zip(all_of(through), all_of(resumed), strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1]["fer2013"], other[1]["fer2013"])
    resumed.start_epoch(1)
    assert not np.array_equal(through[0][0], resumed[0][0])


def test_workers_share_each_batch_of_a_single_process(faces: LabelledFaces) -> None:
    """Of 280 faces, two workers with three devices each drop four, which they cannot divide."""
    recipe, shards = Recipe(batch_size=48, mixup=0.3), [Shard(worker, 2, 6) for worker in range(2)]
    alone = Batches(join([faces]), recipe, Shard(0, 1, 6))
    parts = [Batches(join([faces]), recipe, shard) for shard in shards]
    assert [shard.writes for shard in shards] == [True, False]
    assert sum(len(images) for images, *_ in all_of(alone)) == 276
    for whole, one, other in zip(all_of(alone), *map(all_of, parts), strict=True):
        for place, part in enumerate((one, other)):
            assert np.array_equal(whole[0][place::2], part[0])
            assert np.array_equal(whole[1]["fer2013"][place::2], part[1]["fer2013"])
            assert len(part[2]["fer2013"]) == len(part[0])
    examples = join([faces])
    halves = [examples.validation(shard)[0] for shard in shards]
    assert [len(half) for half in halves] == [138, 138]
    assert np.array_equal(halves[1][..., 0], faces.images[1:276:2])
    assert [Shard(0, 1, 6).divisible(count) for count in (5, 6, 512)] == [0, 6, 510]
    assert Shard().divisible(7) == 7


def test_the_end_is_soft(faces: LabelledFaces) -> None:
    """Without turns and shifts what is left of the augmentation is its damage."""
    damage = {"soften": 1.0, "erase": 1.0, "noise": 1.0, "compress": 1.0}
    still = dict.fromkeys(("rotate_degrees", "scale", "shift", "contrast", "brightness"), 0.0) | {"mirror": False}
    options = {"batch_size": len(faces), "epochs": 10, "mixup": 5, "mixup_share": 1, "augmentation": still | damage}
    batches = Batches(join([faces]), Recipe.model_validate(options | {"soft_end": 0.2}))
    known = {face.tobytes() for face in faces.images}
    for epoch, is_soft in ((0, False), (7, False), (8, True), (9, True)):
        batches.start_epoch(epoch)
        ((images, targets, _),) = all_of(batches)
        same = [image.tobytes() in known for image in images]
        assert all(same) if is_soft else not any(same)
        assert (targets["fer2013"].max(axis=1) == 1).all() == is_soft
    never = Batches(join([faces]), Recipe.model_validate(options))
    assert never.last_epoch == 9
    never.start_epoch(never.last_epoch + 1)  # as when batch norms are measured again
    assert not any(image.tobytes() in known for image in never[0][0])


def test_the_parts_of_a_loss_weigh_one_with_teachers_and_without() -> None:
    recipe = Recipe(labels="ferplus7", also={"fer2013": 0.5}, soft_share=0.8, temperature=2)
    alone = losses(recipe, {})["loss_weights"]
    assert alone == pytest.approx({"ferplus7": 2 / 3, "fer2013": 1 / 3})
    taught = losses(recipe, {}, ["ferplus7"])["loss_weights"]
    assert sum(taught.values()) == pytest.approx(1)
    assert taught["soft_ferplus7"] / taught["ferplus7"] == pytest.approx(0.8 * 2**2 / 0.2)
    assert taught["fer2013"] / taught["ferplus7"] == pytest.approx(0.5 / 0.2)


def test_schemes_are_joined_face_by_face(faces: LabelledFaces, tiny_data: Path) -> None:
    voted = load_dataset(tiny_data, "train", "ferplus8")
    part = voted.take(np.arange(0, len(voted), 3))
    examples = join([faces, part])
    assert len(examples) == len(faces)
    assert examples.weights["fer2013"].all()
    assert examples.weights["ferplus8"].sum() == len(part)
    known = examples.weights["ferplus8"] == 1
    assert np.array_equal(examples.targets["ferplus8"][known], part.targets)
    assert np.array_equal(examples.images[known], part.images)


def test_mixing_keeps_targets_sums_of_one_and_blends_two_faces(faces: LabelledFaces) -> None:
    recipe = Recipe(batch_size=len(faces), mixup=5, mixup_share=1, label_smoothing=0.1)
    ((images, targets, _),) = all_of(Batches(join([faces]), recipe))
    target = targets["fer2013"]
    assert target.sum(axis=1) == pytest.approx(1, abs=1e-5)
    large = (target > 0.1).sum(axis=1)
    assert set(large) == {1, 2}
    assert images.dtype == np.uint8


@pytest.mark.parametrize("imbalance", ["class_weights", "balanced_sampling"])
def test_a_class_that_never_occurs_weighs_nothing(faces: LabelledFaces, imbalance: str) -> None:
    recipe = Recipe.model_validate({"batch_size": 80, "imbalance": imbalance, "label_smoothing": 0.1})
    batches = Batches(join([faces.take(np.flatnonzero(faces.classes != 1))]), recipe)
    for batch in all_of(batches):
        targets = batch[1]["fer2013"]
        assert targets.sum(axis=1) == pytest.approx(np.ones(len(targets)), abs=1e-3)
        assert targets[:, 1] == pytest.approx(np.full(len(targets), 0.1 / 7), abs=1e-3)


def test_logit_adjustment_teaches_that_a_class_never_occurs() -> None:
    """Its logit must fall as far as the others' rise above their frequencies."""
    loss = AdjustedCrossentropy(np.array([0.5, 0.5, 0], np.float32))
    truth, even, never = np.eye(3, dtype=np.float32)[:1], np.full((1, 3), 1 / 3, np.float32), [[0.5, 0.5, 1e-6]]
    assert float(loss(truth, np.array(never, np.float32))) < float(loss(truth, even)) - 0.3


@pytest.mark.parametrize("imbalance", ["class_weights", "balanced_sampling"])
def test_rare_classes_come_to_weigh_as_much_as_others(faces: LabelledFaces, imbalance: str) -> None:
    rare = np.flatnonzero((faces.classes != 1) | (np.arange(len(faces)) % 5 == 0))
    uneven = faces.take(rare)
    recipe = Recipe.model_validate({"batch_size": 100, "imbalance": imbalance})
    batches = Batches(join([uneven]), recipe)
    total = np.zeros(7)
    for epoch in range(20):
        batches.start_epoch(epoch)
        total += sum(batch[1]["fer2013"].sum(axis=0) for batch in all_of(batches))
    assert total / total.sum() == pytest.approx(np.full(7, 1 / 7), abs=0.02)
