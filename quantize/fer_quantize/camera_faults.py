"""Corruptions that the estimate of accuracy is tried on, but not fitted on; and poor light, which it is fitted on."""

from __future__ import annotations

import cv2
import numpy as np

from fer_edge.types import Image
from fer_train.data.corruptions import CORRUPTIONS, Corruption, blur

# Standard deviation of a sensor's noise in grey levels: usual, and of a cheap camera in the dark.
_NOISE, _DARK_NOISE = 2.0, 8.0
# Grey level of fog.
_FOG = 200.0


def poor_light(face: Image, part: float, rng: np.random.Generator) -> Image:
    """So much less light, while the sensor's noise stays."""
    return _rounded(face / part + rng.normal(0, _NOISE, face.shape))


def dark_and_noisy(face: Image, part: float, rng: np.random.Generator) -> Image:
    """So much less light on a sensor with much noise."""
    return _rounded(face / part + rng.normal(0, _DARK_NOISE, face.shape))


def motion_blur(face: Image, pixels: float, _: np.random.Generator) -> Image:
    """Moved sideways by so many pixels while the shutter was open."""
    side = int(pixels)
    kernel = np.zeros((side, side), np.float32)
    kernel[side // 2] = 1 / side
    return np.asarray(cv2.filter2D(face, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def fog(face: Image, kept: float, _: np.random.Generator) -> Image:
    """Behind fog or a dirty lens: so much of the contrast is kept."""
    return _rounded(_FOG + (face - _FOG) * kept)


def overexposed(face: Image, gain: float, _: np.random.Generator) -> Image:
    """So much too bright, clipped at white."""
    return _rounded(face * float(gain))


def dead_pixels(face: Image, share: float, rng: np.random.Generator) -> Image:
    """A fraction of the pixels is black or white."""
    damaged = face.copy()
    dead = rng.random(face.shape) < share
    damaged[dead] = rng.choice((0, 255), int(dead.sum()))
    return damaged


def patch(face: Image, pixels: float, rng: np.random.Generator) -> Image:
    """A grey square in front of a part of the face."""
    side = int(pixels)
    top, left = rng.integers(0, face.shape[0] - side, 2)
    hidden = face.copy()
    hidden[top : top + side, left : left + side] = 128
    return hidden


def side_light(face: Image, part: float, _: np.random.Generator) -> Image:
    """Light from the right: the left edge gets so much less."""
    return _rounded(face * np.linspace(1 / part, 1, face.shape[1])[None])


def _rounded(levels: object) -> Image:
    return np.asarray(np.clip(np.rint(np.asarray(levels)), 0, 255), np.uint8)


# What the estimate is fitted on: those of fer-train evaluate, a stronger blur, and poor light.
FITTED = (
    *(corruption for corruption in CORRUPTIONS if corruption.name != "blur"),
    Corruption("blur", "px", (1, 2, 3, 4), blur),
    Corruption("poor light", "part", (2, 4, 8, 16), poor_light),
)
# What it is tried on: the first are mild, the last ones are not.
TRIED = (
    Corruption("side light", "part", (2, 4, 8), side_light),
    Corruption("fog", "kept", (0.5, 0.25, 0.12), fog),
    Corruption("patch", "px", (12, 16, 20), patch),
    Corruption("dead pixels", "share", (0.02, 0.05, 0.1), dead_pixels),
    Corruption("overexposed", "gain", (1.5, 2, 3), overexposed),
    Corruption("dark and noisy", "part", (2, 4, 8), dark_and_noisy),
    Corruption("motion blur", "px", (5, 9, 13), motion_blur),
)
