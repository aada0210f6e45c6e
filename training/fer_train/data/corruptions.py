"""Ways in which a camera corrupts a face, one at a time, each in a few strengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.preprocess import resize
from fer_edge.types import Image

# From a grey face of shape (48, 48), a level and a source of chance to the corrupted face.
Degrade = Callable[[Image, float, np.random.Generator], Image]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way to spoil a face.

    Attributes:
        name: of the way.
        unit: of its levels.
        levels: how much; the order is that of the table.
        degrade: does it.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    degrade: Degrade

    def apply(self, faces: npt.NDArray[np.uint8], level: float, seed: int) -> npt.NDArray[np.uint8]:
        """Spoil faces, shape (N, 48, 48); the same seed gives the same faces, and the same chance at each level."""
        rng = np.random.default_rng((seed, *self.name.encode()))
        return np.array([self.degrade(face, level, rng) for face in faces], np.uint8)


def scale(face: Image, pixels: float, _: np.random.Generator) -> Image:
    """A face that was only so many pixels wide in the camera's picture."""
    return resize(resize(face, int(pixels)))


def blur(face: Image, sigma: float, _: np.random.Generator) -> Image:
    """Out of focus: a Gaussian blur."""
    return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)


def noise(face: Image, sigma: float, rng: np.random.Generator) -> Image:
    """A sensor in the dark: Gaussian noise, in grey levels of 255."""
    noisy = face + rng.normal(0, sigma, face.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def gamma(face: Image, exponent: float, _: np.random.Generator) -> Image:
    """Too dark (above 1) or too light (below 1): grey levels to a power."""
    table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return np.asarray(cv2.LUT(face, table), np.uint8)


def jpeg(face: Image, quality: float, _: np.random.Generator) -> Image:
    """Compressed hard."""
    content = cv2.imencode(".jpg", face, (cv2.IMWRITE_JPEG_QUALITY, int(quality)))[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


def shift(face: Image, pixels: float, rng: np.random.Generator) -> Image:
    """A detector's box beside the face: by so many pixels in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    return _warp(face, np.array([[1, 0, pixels * np.cos(angle)], [0, 1, pixels * np.sin(angle)]]))


def rotate(face: Image, degrees: float, rng: np.random.Generator) -> Image:
    """A head held tilted, to either side."""
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
