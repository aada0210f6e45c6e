"""Turn faces into shuffled, augmented batches with the targets of every label set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces
from fer_train.recipes import Recipe
from fer_train.training.distributed import SINGLE_PROCESS, Shard

Floats = npt.NDArray[np.float32]
# A batch is images (N, 48, 48, 1), then targets (N, C) and weights (N,) per head.
Batch = tuple[npt.NDArray[np.uint8], dict[str, Floats], dict[str, Floats]]
# A teacher function turns images (N, 48, 48) into targets (N, C) per distillation head.
AskTeachers = Callable[[npt.NDArray[np.uint8]], dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Examples:
    """Faces with the targets of each head.

    Attributes:
        images: shape (N, 48, 48), uint8, grey.
        targets: shape (N, C), float32, per head; a row of zeros if a face has no label in that label set.
    """

    images: npt.NDArray[np.uint8]
    targets: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def weights(self) -> dict[str, Floats]:
        """1 if a face has a label, else 0: shape (N,) per head."""
        return {head: np.asarray(target.any(axis=1), np.float32) for head, target in self.targets.items()}

    def validation(self, shard: Shard = SINGLE_PROCESS) -> Batch:
        """A worker's part of the faces, as Keras' validation data; what cannot be split evenly is dropped."""
        rows = np.arange(shard.divisible(len(self)))[shard.rows]
        return self.images[rows, ..., None], _take(self.targets, rows), _take(self.weights, rows)


def join(parts: Sequence[LabelledFaces]) -> Examples:
    """Join the label sets of one split, face by face. The heads have the names of the label sets.

    Raises:
        DataError: the parts are not from the same file and split.
    """
    if len({(part.source, part.split) for part in parts}) != 1:
        raise DataError("label sets can be trained together only if they label the same faces")
    rows, first = np.unique(np.concatenate([part.rows for part in parts]), return_index=True)
    images = np.concatenate([part.images for part in parts])[first]
    targets = {}
    for part in parts:
        target = np.zeros((len(rows), len(part.labels)), np.float32)
        target[np.searchsorted(rows, part.rows)] = part.targets
        targets[str(part.scheme)] = target
    return Examples(images, targets)


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches; the same seed gives the same batches in each epoch, also after a resume.

    Each of several workers computes the same batches as a single process, and keeps its part of each. Faces that
    cannot be split evenly are dropped, different ones in each epoch.

    Args:
        examples: the faces with their targets.
        recipe: how they are augmented and mixed.
        shard: which part of each batch this worker keeps.
        ask: called with each finished batch; returns the targets of the distillation heads.
    """

    def __init__(
        self, examples: Examples, recipe: Recipe, shard: Shard = SINGLE_PROCESS, ask: AskTeachers | None = None
    ) -> None:
        # Threads prepare the next batches during a step; teachers compute on the device, one batch after the other.
        super().__init__(workers=1 if ask else 2)
        self._shard = shard
        self._ask = ask
        self._recipe = recipe
        self._images = examples.images
        main = str(recipe.labels)
        self._probabilities = (
            _sampling_probabilities(examples.targets[main]) if recipe.imbalance == "balanced_sampling" else None
        )
        self._targets = {
            head: _smooth(target, recipe.label_smoothing) if head == "fer2013" else target
            for head, target in examples.targets.items()
        }
        if recipe.imbalance == "class_weights":
            self._targets[main] = self._targets[main] * _class_weights(examples.targets[main])[:, None]
        self._weights = examples.weights
        self._answers: dict[tuple[int, bool, int], dict[str, Floats]] = {}
        self.start_epoch(0)

    @property
    def last_epoch(self) -> int:
        """Index of the training's last epoch, from 0."""
        return self._recipe.epochs - 1

    def start_epoch(self, epoch: int) -> None:
        """Shuffle for this epoch."""
        self._epoch = epoch % self._recipe.views if self._recipe.views else epoch
        soft_epochs = round(self._recipe.epochs * self._recipe.soft_end)
        self._is_soft = soft_epochs > 0 and epoch >= self._recipe.epochs - soft_epochs
        augmentation = self._recipe.augmentation
        self._augmentation = augmentation.without_corruptions() if self._is_soft else augmentation
        self._mixup = 0.0 if self._is_soft else self._recipe.mixup
        rng = np.random.default_rng((self._recipe.seed, self._epoch))
        count = len(self._images)
        order = (
            rng.permutation(count) if self._probabilities is None else rng.choice(count, count, p=self._probabilities)
        )
        self._order = order[: self._shard.divisible(count)]

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._recipe.batch_size)

    def __getitem__(self, index: int) -> Batch:
        size = self._recipe.batch_size
        chosen = self._order[index * size : (index + 1) * size]
        rng = np.random.default_rng((self._recipe.seed, self._epoch, index))
        images = self._augmentation.apply(self._images[chosen], rng)
        targets, weights = _take(self._targets, chosen), _take(self._weights, chosen)
        if self._mixup and rng.random() < self._recipe.mixup_share:
            images, targets = _mix(images, targets, float(rng.beta(self._mixup, self._mixup)), rng)
        rows = self._shard.rows
        images, targets, weights = images[rows], _take(targets, rows), _take(weights, rows)
        if self._ask:
            targets |= self._answer(self._ask, index, images)
            weights |= {head: np.ones(len(images), np.float32) for head in targets.keys() - weights.keys()}
        return images[..., None], targets, weights

    def _answer(self, ask: AskTeachers, index: int, images: npt.NDArray[np.uint8]) -> dict[str, Floats]:
        """The teachers' answers to a batch: those of last time, if it has been seen before."""
        if not self._recipe.views:
            return ask(images)
        batch = (self._epoch, self._is_soft, index)
        if batch not in self._answers:
            self._answers[batch] = ask(images)
        return self._answers[batch]


def class_frequencies(target: Floats) -> Floats:
    """Fraction of each class in the labels: shape (C,)."""
    counts = target.sum(axis=0)
    return np.asarray(counts / counts.sum(), np.float32)


def _take(arrays: Mapping[str, Floats], rows: slice | npt.NDArray[np.intp]) -> dict[str, Floats]:
    return {head: array[rows] for head, array in arrays.items()}


def _sampling_probabilities(target: Floats) -> npt.NDArray[np.float64]:
    """Probability to draw each face, so that all classes are drawn equally often: shape (N,)."""
    rarity = _rarity(target)
    return np.asarray(rarity / rarity.sum(), np.float64)


def _class_weights(target: Floats) -> Floats:
    """Weight of each face, inverse to the frequency of its class, with mean 1: shape (N,)."""
    rarity = _rarity(target)
    return np.asarray(rarity / rarity[target.any(axis=1)].mean(), np.float32)


def _rarity(target: Floats) -> npt.NDArray[np.float64]:
    """Inverse frequency of each face's class: shape (N,)."""
    return np.asarray(target.astype(np.float64) @ (1 / np.maximum(class_frequencies(target), 1e-6)), np.float64)


def _smooth(target: Floats, smoothing: float) -> Floats:
    labelled = target.any(axis=1, keepdims=True)
    return np.asarray((target * (1 - smoothing) + smoothing / target.shape[1]) * labelled, np.float32)


def _mix(
    images: npt.NDArray[np.uint8], targets: Mapping[str, Floats], share: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], dict[str, Floats]]:
    """Mix each face with another of the batch, and their targets in the same ratio."""
    other = rng.permutation(len(images))
    mixed = np.rint(images * np.float32(share) + images[other] * np.float32(1 - share)).astype(np.uint8)
    return mixed, {
        head: np.float32(share) * target + np.float32(1 - share) * target[other] for head, target in targets.items()
    }
