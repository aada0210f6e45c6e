"""Corruptions of a face by a camera, one at a time, each at several levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.preprocess import resize
from fer_edge.types import Image

# A function of a grey face of shape (48, 48), a level and a random generator; it returns the corrupted face.
Corrupt = Callable[[Image, float, np.random.Generator], Image]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        name: name of the corruption.
        unit: unit of its levels.
        levels: strengths, in the order of the table.
        corrupt: the function that corrupts a face.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    corrupt: Corrupt

    def apply(self, faces: npt.NDArray[np.uint8], level: float, seed: int) -> npt.NDArray[np.uint8]:
        """Corrupt faces, shape (N, 48, 48); the same seed gives the same faces, with the same draws per level."""
        rng = np.random.default_rng((seed, *self.name.encode()))
        return np.array([self.corrupt(face, level, rng) for face in faces], np.uint8)


def scale(face: Image, pixels: float, _: np.random.Generator) -> Image:
    """A face that is only this many pixels wide in the camera's image."""
    return resize(resize(face, int(pixels)))


def blur(face: Image, sigma: float, _: np.random.Generator) -> Image:
    """Out of focus: a Gaussian blur."""
    return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)


def noise(face: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Gaussian noise, as from a sensor in the dark; sigma in grey levels."""
    noisy = face + rng.normal(0, sigma, face.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def gamma(face: Image, exponent: float, _: np.random.Generator) -> Image:
    """Too dark (exponent above 1) or too bright (below 1): a gamma curve."""
    table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return np.asarray(cv2.LUT(face, table), np.uint8)


def jpeg(face: Image, quality: float, _: np.random.Generator) -> Image:
    """Strong JPEG compression."""
    content = cv2.imencode(".jpg", face, (cv2.IMWRITE_JPEG_QUALITY, int(quality)))[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


def shift(face: Image, pixels: float, rng: np.random.Generator) -> Image:
    """An inaccurate detector box: the face is shifted by this many pixels in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    return _warp(face, np.array([[1, 0, pixels * np.cos(angle)], [0, 1, pixels * np.sin(angle)]]))


def rotate(face: Image, degrees: float, rng: np.random.Generator) -> Image:
    """A tilted head: rotation to a random side."""
    centre = ((face.shape[1] - 1) / 2, (face.shape[0] - 1) / 2)
    return _warp(face, np.asarray(cv2.getRotationMatrix2D(centre, degrees * rng.choice((-1, 1)), 1), np.float64))


def _warp(face: Image, matrix: npt.NDArray[np.float64]) -> Image:
    height, width = face.shape
    return np.asarray(cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


CORRUPTIONS = (
    Corruption("scale", "px", (40, 32, 24, 16, 12), scale),
    Corruption("blur", "px", (0.5, 1, 1.5, 2), blur),
    Corruption("noise", "levels", (5, 10, 20, 30), noise),
    Corruption("lighter", "gamma", (0.6, 0.4), gamma),
    Corruption("darker", "gamma", (1.7, 2.5), gamma),
    Corruption("JPEG", "quality", (50, 30, 20, 10), jpeg),
    Corruption("shift", "px", (2, 4, 6, 8), shift),
    Corruption("rotation", "degrees", (5, 10, 20, 30), rotate),
)
