"""What a network is taught: targets that belong to the pixels, and losses that weigh them."""

from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces, Scheme
from fer_train.recipes import Recipe

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import build  # noqa: E402
from fer_train.training.batches import Batches, join  # noqa: E402
from fer_train.training.losses import add_heads, head_model, losses, soften  # noqa: E402

STILL = dict.fromkeys(
    ("rotate_degrees", "scale", "shift", "contrast", "brightness", "soften", "erase", "noise", "compress"), 0.0
) | {"mirror": False}


def plain_faces(classes: npt.NDArray[np.int64], scheme: Scheme = "fer2013") -> LabelledFaces:
    """Flat pictures: those of the first class are black, those of the second white, others grey."""
    greys = np.where(classes == 0, 0, np.where(classes == 1, 255, 128))
    images = np.broadcast_to(greys[:, None, None], (len(classes), 48, 48)).astype(np.uint8)
    targets = np.eye(8 if scheme == "ferplus8" else 7, dtype=np.float32)[classes]
    return LabelledFaces(images, targets, np.arange(len(classes)), scheme, Path("made.csv"), "train")


def recipe(**options: object) -> Recipe:
    return Recipe.model_validate({"augmentation": STILL, "batch_size": 16} | options)


def test_a_mixed_face_has_as_much_of_each_class_as_of_its_pixels() -> None:
    """A face of which three quarters are black is three quarters of the black class, not one."""
    batches = Batches(join([plain_faces(np.arange(64) % 2)]), recipe(mixup=1, mixup_share=1))
    uneven = 0
    for index in range(len(batches)):
        images, targets, _ = batches[index]
        white = images[:, 24, 24, 0] / 255
        assert targets["fer2013"][:, 1] == pytest.approx(white, abs=0.003)
        assert targets["fer2013"][:, 0] == pytest.approx(1 - white, abs=0.003)
        uneven += int(((white > 0.05) & (white < 0.4)).any())
    assert uneven, "some are mixed unevenly"


def test_every_label_set_of_a_mixed_face_is_mixed_alike() -> None:
    classes = np.arange(64) % 2
    examples = join([plain_faces(classes), plain_faces(classes, "ferplus8")])
    images, targets, _ = Batches(examples, recipe(mixup=1, mixup_share=1, also={"ferplus8": 0.5}))[0]
    assert targets["ferplus8"][:, :2] == pytest.approx(targets["fer2013"][:, :2])
    assert len(np.unique(images[:, 0, 0, 0])) > 2


def test_as_many_batches_are_mixed_as_is_asked_for() -> None:
    batches = Batches(join([plain_faces(np.arange(160) % 2)]), recipe(mixup=5, mixup_share=0.3, batch_size=8))
    mixed = 0
    for epoch in range(10):
        batches.start_epoch(epoch)
        mixed += sum(bool((batches[index][1]["fer2013"].max(axis=1) < 1).any()) for index in range(len(batches)))
    assert mixed == pytest.approx(0.3 * 200, abs=22)


def test_smoothing_takes_a_part_of_the_label_and_gives_it_to_all_classes() -> None:
    images, targets, _ = Batches(join([plain_faces(np.arange(16) % 2)]), recipe(label_smoothing=0.14, mixup=0))[0]
    black = images[:, 0, 0, 0] == 0
    assert targets["fer2013"][black] == pytest.approx(np.tile([0.88, *[0.02] * 6], (8, 1)), abs=1e-5)
    assert targets["fer2013"][~black] == pytest.approx(np.tile([0.02, 0.88, *[0.02] * 5], (8, 1)), abs=1e-5)


@pytest.mark.parametrize("smoothing", [0, 0.2])
def test_a_class_four_times_as_rare_weighs_four_times_as_much(smoothing: float) -> None:
    classes = np.array([0] * 40 + [1] * 10)
    options = recipe(imbalance="class_weights", mixup=0, batch_size=50, label_smoothing=smoothing)
    images, targets, _ = Batches(join([plain_faces(classes)]), options)[0]
    weights = targets["fer2013"].sum(axis=1)
    black, white = weights[images[:, 0, 0, 0] == 0], weights[images[:, 0, 0, 0] == 255]
    assert black == pytest.approx(np.full(40, 0.625), abs=1e-5)
    assert white == pytest.approx(np.full(10, 2.5), abs=1e-5)


def test_faces_without_a_label_do_not_make_those_with_one_weigh_more() -> None:
    """Of the faces of two label sets, one in three has no label in the main one."""
    classes = np.array([0] * 40 + [1] * 20)
    part = plain_faces(classes, "ferplus8").take(np.flatnonzero(np.arange(60) % 3))
    options = recipe(labels="ferplus8", also={"fer2013": 0.5}, imbalance="class_weights", mixup=0, batch_size=60)
    _, targets, _ = Batches(join([part, plain_faces(classes)]), options)[0]
    weights = targets["ferplus8"].sum(axis=1)
    assert np.count_nonzero(weights) == 40
    assert weights[weights > 0].mean() == pytest.approx(1)


def test_every_face_comes_once_per_epoch_with_its_own_label() -> None:
    classes = np.arange(70) % 7
    faces = plain_faces(classes)
    numbered = np.broadcast_to(np.arange(70)[:, None, None], (70, 48, 48)).astype(np.uint8)
    faces = LabelledFaces(numbered, faces.targets, faces.rows, "fer2013", faces.source, "train")
    batches = Batches(join([faces]), recipe(mixup=0, batch_size=16, label_smoothing=0))
    orders = []
    for epoch in range(2):
        batches.start_epoch(epoch)
        seen = [batches[index] for index in range(len(batches))]
        numbers = np.concatenate([images[:, 0, 0, 0] for images, _, _ in seen])
        assert sorted(numbers) == list(range(70))
        labels = np.concatenate([targets["fer2013"].argmax(axis=1) for _, targets, _ in seen])
        assert np.array_equal(labels, classes[numbers])
        orders.append(numbers.tolist())
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


def test_each_seed_each_epoch_and_each_batch_has_draws_of_its_own() -> None:
    """Faces that are all the same differ by their brightness alone."""
    examples, augmentation = join([plain_faces(np.full(32, 2))]), STILL | {"brightness": 0.3}
    drawn = []
    for seed in (1, 2):
        batches = Batches(examples, recipe(seed=seed, augmentation=augmentation))
        for epoch in (0, 1):
            batches.start_epoch(epoch)
            drawn += [tuple(batches[index][0][:, 0, 0, 0].tolist()) for index in range(len(batches))]
    assert len(set(drawn)) == len(drawn) == 8


def test_another_seed_shuffles_in_another_order() -> None:
    examples = join([plain_faces(np.arange(64) % 3)])
    first, second = (np.concatenate([one[0] for one in Batches(examples, recipe(seed=seed))]) for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_votes_are_not_smoothed() -> None:
    classes = np.arange(16) % 2
    examples = join([plain_faces(classes, "ferplus7"), plain_faces(classes)])
    options = recipe(labels="ferplus7", also={"fer2013": 0.5}, label_smoothing=0.14)
    targets = Batches(examples, options)[0][1]
    assert targets["ferplus7"].max(axis=1).tolist() == [1] * 16
    assert targets["fer2013"].max(axis=1) == pytest.approx(0.88)


def test_a_large_mixup_mixes_nearly_half_and_half() -> None:
    batches = Batches(join([plain_faces(np.arange(64) % 2)]), recipe(mixup=20, mixup_share=1))
    white = np.concatenate([batches[index][0][:, 0, 0, 0] for index in range(len(batches))]) / 255
    mixed = white[(white > 0) & (white < 1)]
    assert len(mixed) > 20
    assert np.abs(mixed - 0.5).max() < 0.4


# The student's head, and the weights of the parts


def test_the_soft_head_is_the_hard_one_at_the_temperature() -> None:
    options = recipe(labels="ferplus7", also={"ferplus8": 0.5}, temperature=3, architecture="cnn-small")
    keras.utils.set_random_seed(0)
    trunk = build("cnn-small", 7)
    model = add_heads(trunk, options, ["ferplus7"])
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), np.uint8)
    said = {head: np.asarray(answer) for head, answer in model(images).items()}
    assert set(said) == {"ferplus7", "ferplus8", "soft_ferplus7"}
    assert said["soft_ferplus7"] == pytest.approx(soften(said["ferplus7"], 3), abs=1e-5)
    for scheme in ("ferplus7", "ferplus8"):
        alone = head_model(trunk, model, options, scheme)
        assert np.asarray(alone(images)) == pytest.approx(said[scheme], abs=1e-6)


def test_softening_is_the_softmax_of_logits_over_the_temperature() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (6, 7))

    def softmax(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        powers = np.exp(values)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    for temperature in (0.5, 1, 4):
        softened = soften(softmax(logits).astype(np.float32), temperature)
        assert softened == pytest.approx(softmax(logits / temperature), abs=1e-3)


@pytest.mark.parametrize("imbalance", ["none", "logit_adjustment"])
def test_each_head_has_its_loss(imbalance: str) -> None:
    options = recipe(labels="ferplus7", also={"fer2013": 0.25}, imbalance=imbalance)
    built = losses(options, {"ferplus7": np.eye(7, dtype=np.float32)}, ["fer2013"])
    assert set(built["loss"]) == set(built["loss_weights"]) == {"ferplus7", "fer2013", "soft_fer2013"}
    assert set(built["weighted_metrics"]) == {"ferplus7", "fer2013"}
    hard = built["loss_weights"]["fer2013"] / built["loss_weights"]["ferplus7"]
    assert hard == pytest.approx(0.25 * (1 - options.soft_share))
    assert isinstance(built["loss"]["ferplus7"], str) == (imbalance == "none")
    assert built["loss"]["soft_fer2013"] == "categorical_crossentropy"


def test_logits_are_adjusted_by_the_frequencies_of_the_main_labels() -> None:
    """Of the main labels nine in ten are the first class; of the others, which come after them, half."""
    shares = {"ferplus7": [0.9, 0.1], "fer2013": [0.5, 0.5]}
    targets = {scheme: np.array([[*share, *[0] * 5]], np.float32) for scheme, share in shares.items()}
    built = losses(recipe(labels="ferplus7", also={"fer2013": 1}, imbalance="logit_adjustment"), targets)
    said, truth = np.full((1, 7), 1 / 7, np.float32), np.eye(7, dtype=np.float32)
    rare, often = (float(built["loss"]["ferplus7"](truth[[label]], said)) for label in (1, 0))
    assert rare - often == pytest.approx(np.log(0.9 / 0.1), abs=1e-4)


def test_every_label_set_can_be_learnt() -> None:
    for scheme in get_args(Scheme):
        assert recipe(labels=scheme).schemes == (scheme,)


def test_a_face_without_a_label_has_no_smoothed_one_either() -> None:
    faces = plain_faces(np.arange(16) % 2)
    examples = join([faces.take(np.arange(8)), plain_faces(np.arange(16) % 2, "ferplus8")])
    images, targets, weights = Batches(examples, recipe(label_smoothing=0.1, also={"ferplus8": 0.5}))[0]
    unlabelled = weights["fer2013"] == 0
    assert unlabelled.sum() == 8
    assert (targets["fer2013"][unlabelled] == 0).all()
    assert targets["fer2013"][~unlabelled].sum(axis=1) == pytest.approx(1)
    assert targets["fer2013"][~unlabelled].min() == pytest.approx(0.1 / 7)
    assert len(images) == 16


def test_teachers_are_asked_for_the_finished_batch_and_labels_keep_their_weights() -> None:
    def ask(images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        return {"soft_fer2013": np.repeat(images[:, :1, 0] / np.float32(255), 7, axis=1)}

    examples = join([plain_faces(np.arange(16) % 2)])
    images, targets, weights = Batches(examples, recipe(mixup=1, mixup_share=1), ask=ask)[0]
    assert targets["soft_fer2013"][:, 0] == pytest.approx(images[:, 0, 0, 0] / 255)
    assert set(weights) == set(targets) == {"fer2013", "soft_fer2013"}
    assert all((weight == 1).all() for weight in weights.values())


def test_faces_to_validate_on_are_as_they_are() -> None:
    faces = plain_faces(np.arange(20) % 3)
    images, targets, weights = join([faces]).validation()
    assert np.array_equal(images[..., 0], faces.images)
    assert np.array_equal(targets["fer2013"], faces.targets)
    assert weights["fer2013"].tolist() == [1] * 20
