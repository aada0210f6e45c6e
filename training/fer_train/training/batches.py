"""Faces into shuffled, augmented batches, each with the targets of every label scheme that is learnt."""

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
from fer_train.training.distributed import SINGLE_PROCESS, Share

Floats = npt.NDArray[np.float32]
# Images (N, 48, 48, 1), targets (N, C) a head, weights (N,) a head.
Batch = tuple[npt.NDArray[np.uint8], dict[str, Floats], dict[str, Floats]]
# From images (N, 48, 48) to further targets (N, C) by head.
Ask = Callable[[npt.NDArray[np.uint8]], dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Examples:
    """Faces and what each head is to learn from them.

    Attributes:
        images: shape (N, 48, 48), uint8, grey.
        targets: shape (N, C), float32, by head; a row of zeros where a face has no label of that scheme.
    """

    images: npt.NDArray[np.uint8]
    targets: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def weights(self) -> dict[str, Floats]:
        """1 where a face has a label, else 0: shape (N,) by head."""
        return {head: np.asarray(target.any(axis=1), np.float32) for head, target in self.targets.items()}

    def validation(self, share: Share = SINGLE_PROCESS) -> Batch:
        """A worker's share of them, as Keras wants validation data; those that cannot be shared evenly are left out."""
        rows = np.arange(share.divisible(len(self)))[share.rows]
        return self.images[rows, ..., None], _take(self.targets, rows), _take(self.weights, rows)


def join(parts: Sequence[LabelledFaces]) -> Examples:
    """Put the label schemes of one split together, face by face; the heads are named by scheme.

    Raises:
        DataError: the parts are not of the same file and split.
    """
    if len({(part.source, part.split) for part in parts}) != 1:
        raise DataError("label schemes can be learnt together only where they label the same faces")
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

    One of several workers makes the same batches as one alone would, and keeps its share. Faces of an epoch that cannot
    be shared evenly are left out, other ones in each epoch.

    Args:
        examples: the faces and what is known of them beforehand.
        recipe: how they are augmented and mixed.
        share: what this worker keeps of each batch.
        ask: is shown each batch as it comes out, and gives the targets of further heads.
    """

    def __init__(
        self, examples: Examples, recipe: Recipe, share: Share = SINGLE_PROCESS, ask: Ask | None = None
    ) -> None:
        super().__init__()
        self._share = share
        self._ask = ask
        self._recipe = recipe
        self._images = examples.images
        main = str(recipe.labels)
        self._chance = _chances(examples.targets[main]) if recipe.imbalance == "balanced_sampling" else None
        self._targets = {
            head: _smooth(target, recipe.label_smoothing) if head == "fer2013" else target
            for head, target in examples.targets.items()
        }
        if recipe.imbalance == "class_weights":
            self._targets[main] = self._targets[main] * _class_weights(examples.targets[main])[:, None]
        self._weights = examples.weights
        self.start_epoch(0)

    @property
    def last_epoch(self) -> int:
        """Number of the training's last epoch, from 0."""
        return self._recipe.epochs - 1

    def start_epoch(self, epoch: int) -> None:
        """Shuffle anew for this epoch."""
        self._epoch = epoch
        soft_epochs = round(self._recipe.epochs * self._recipe.soft_end)
        is_soft = soft_epochs > 0 and epoch >= self._recipe.epochs - soft_epochs
        self._augmentation = self._recipe.augmentation.undamaged() if is_soft else self._recipe.augmentation
        self._mixup = 0.0 if is_soft else self._recipe.mixup
        rng = np.random.default_rng((self._recipe.seed, epoch))
        count = len(self._images)
        order = rng.permutation(count) if self._chance is None else rng.choice(count, count, p=self._chance)
        self._order = order[: self._share.divisible(count)]

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
        rows = self._share.rows
        images, targets, weights = images[rows], _take(targets, rows), _take(weights, rows)
        if self._ask:
            targets |= self._ask(images)
            weights |= {head: np.ones(len(images), np.float32) for head in targets.keys() - weights.keys()}
        return images[..., None], targets, weights


def class_shares(target: Floats) -> Floats:
    """The share of each class in the labels: shape (C,)."""
    counts = target.sum(axis=0)
    return np.asarray(counts / counts.sum(), np.float32)


def _take(arrays: Mapping[str, Floats], rows: slice | npt.NDArray[np.intp]) -> dict[str, Floats]:
    return {head: array[rows] for head, array in arrays.items()}


def _chances(target: Floats) -> npt.NDArray[np.float64]:
    """Chance of each face to be drawn, such that all classes come equally often: shape (N,)."""
    rarity = _rarity(target)
    return np.asarray(rarity / rarity.sum(), np.float64)


def _class_weights(target: Floats) -> Floats:
    """Each face's weight, inverse to its class' share, one on average: shape (N,)."""
    rarity = _rarity(target)
    return np.asarray(rarity / rarity[target.any(axis=1)].mean(), np.float32)


def _rarity(target: Floats) -> npt.NDArray[np.float64]:
    """One over the share of each face's class: shape (N,)."""
    return np.asarray(target.astype(np.float64) @ (1 / np.maximum(class_shares(target), 1e-6)), np.float64)


def _smooth(target: Floats, smoothing: float) -> Floats:
    labelled = target.any(axis=1, keepdims=True)
    return np.asarray((target * (1 - smoothing) + smoothing / target.shape[1]) * labelled, np.float32)


def _mix(
    images: npt.NDArray[np.uint8], targets: Mapping[str, Floats], share: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], dict[str, Floats]]:
    """Lay each face over another of the batch, and their targets alike."""
    other = rng.permutation(len(images))
    mixed = np.rint(images * np.float32(share) + images[other] * np.float32(1 - share)).astype(np.uint8)
    return mixed, {
        head: np.float32(share) * target + np.float32(1 - share) * target[other] for head, target in targets.items()
    }
