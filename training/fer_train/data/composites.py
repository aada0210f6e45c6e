"""Composite faces: the mean of many faces, which shows no real person.

The faces of a class are aligned to their mean by translation. Then the faces most similar to the mean are averaged.
This keeps the expression and removes the person (the idea is Galton's composite portrait, 1878).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data.datasets import LabelledFaces
from fer_train.files import write_whole

_ROUNDS = 4
# This is the largest translation, in pixels.
_REACH = 6


def composite_atlas(faces: LabelledFaces, most_similar: int = 200) -> npt.NDArray[np.uint8]:
    """Return one composite per class, side by side: shape (48, 48 * C), uint8.

    Raises:
        DataError: a class has fewer than 20 faces.
    """
    return np.concatenate([_composite(faces, index, most_similar) for index in range(len(faces.labels))], axis=1)


def write_atlas(atlas: npt.NDArray[np.uint8], path: Path) -> None:
    """Write the atlas as PNG, atomically. Raises ConfigError if that fails."""
    write_whole(path, cv2.imencode(".png", atlas)[1].tobytes())


def _composite(faces: LabelledFaces, index: int, most_similar: int) -> npt.NDArray[np.uint8]:
    share = faces.targets[:, index]
    mine = np.flatnonzero(faces.classes == index)
    if len(mine) < 20:
        raise DataError(f"{faces.source}: {len(mine)} faces of class {faces.labels[index]}, a composite needs 20")
    clearest = mine[np.argsort(-share[mine], kind="stable")][: max(4 * most_similar, len(mine) // 4)]
    # The data set holds some photographs several times. One person must not dominate the mean.
    distinct = {image.tobytes(): image for image in faces.images[clearest]}.values()
    images = np.array([_even(image) for image in distinct])
    count = min(most_similar, len(images) // 2)
    mean = images.mean(axis=0)
    for _ in range(_ROUNDS):
        likeness, aligned = zip(*(_align(image, mean) for image in images), strict=True)
        best = np.argsort(likeness)[-count:]
        mean = np.mean([aligned[i] for i in best], axis=0)
    crisp = mean + (mean - cv2.GaussianBlur(mean, (0, 0), 2))  # averaging blurs; an unsharp mask restores edges
    return np.asarray(np.clip(128 + 52 * (crisp - crisp.mean()) / crisp.std(), 0, 255), np.uint8)


def _even(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scale to zero mean and unit contrast, so that each photograph has the same weight."""
    levels = image.astype(np.float32)
    return np.asarray((levels - levels.mean()) / (levels.std() + 1e-3), np.float32)


def _align(image: npt.NDArray[np.float32], mean: npt.NDArray[np.floating]) -> tuple[float, npt.NDArray[np.float32]]:
    """Return the correlation at the best translation, and the image moved by it."""
    template = mean.astype(np.float32)[_REACH:-_REACH, _REACH:-_REACH]
    _, likeness, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED))
    moved = np.array([[1, 0, _REACH - x], [0, 1, _REACH - y]], np.float32)
    return likeness, np.asarray(cv2.warpAffine(image, moved, image.shape, borderMode=cv2.BORDER_REPLICATE), np.float32)
