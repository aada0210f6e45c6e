"""Faces as the input of a model: in its size, and with its number of channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fer_edge.preprocess import resize


def model_input(faces: npt.NDArray[np.uint8], shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Scale grey faces, shape (N, H, W), to a model's input (height, width, channels): shape (N, *shape).

    Three channels get the same levels.
    """
    height, _, channels = shape
    scaled = np.array([resize(face, height) for face in faces], np.uint8).reshape(len(faces), *shape[:2], 1)
    return np.repeat(scaled, channels, axis=3)
