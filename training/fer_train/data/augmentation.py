"""Random changes to training faces, one affine warp and one lookup table per image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fer_train.data.corruptions import jpeg, noise


class Augmentation(BaseModel):
    """How much a face may be changed. Each value is drawn uniformly from its range."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rotate_degrees: float = Field(15.0, ge=0, le=180)
    scale: float = Field(0.15, ge=0, lt=1)
    """Fraction of the size, up or down."""
    shift: float = Field(0.1, ge=0, le=1)
    """Fraction of the width and of the height."""
    contrast: float = Field(0.3, ge=0, le=1)
    """Fraction of the contrast about mid-grey, up or down."""
    brightness: float = Field(0.2, ge=0, le=1)
    """Fraction of the full range, up or down."""
    mirror: bool = True
    """Mirror half of the faces."""
    soften: float = Field(0.3, ge=0, le=1)
    """Fraction of faces that are scaled down to 20 to 48 pixels and up again, like a small or blurred face."""
    erase: float = Field(0.25, ge=0, le=1)
    """Fraction of faces with a grey patch, as if behind a hand (random erasing: Zhong et al., 2017,
    arXiv:1708.04896)."""
    noise: float = Field(0.15, ge=0, le=1)
    """Fraction of faces with Gaussian noise of up to 25 grey levels, like that of a sensor in poor light."""
    compress: float = Field(0.15, ge=0, le=1)
    """Fraction of faces that are compressed as JPEG with quality 10 to 60."""

    def apply(self, images: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Return changed copies of grey images, shape (N, H, W), uint8."""
        count, height, width = images.shape
        warps = self._warps(count, height, width, rng)
        levels = self._levels(count, rng)
        out = np.empty_like(images)
        for image, warp, table, target in zip(images, warps, levels, out, strict=True):
            cv2.warpAffine(image, warp, (width, height), target, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
            cv2.LUT(target, table, target)
        for index in np.flatnonzero(rng.random(count) < self.soften):
            _soften(out[index], rng)
        for index in np.flatnonzero(rng.random(count) < self.erase):
            _erase(out[index], rng)
        for index in np.flatnonzero(rng.random(count) < self.noise):
            out[index] = noise(out[index], rng.uniform(0, 25), rng)
        for index in np.flatnonzero(rng.random(count) < self.compress):
            out[index] = jpeg(out[index], rng.uniform(10, 60), rng)
        return out

    def without_corruptions(self) -> Augmentation:
        """The same without what corrupts an image: coarseness, patches, noise and JPEG."""
        return self.model_copy(update=dict.fromkeys(("soften", "erase", "noise", "compress"), 0.0))

    def _warps(self, count: int, height: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Affine matrices about the centre, shape (N, 2, 3)."""
        angle = np.deg2rad(rng.uniform(-self.rotate_degrees, self.rotate_degrees, count))
        scale = 1 + rng.uniform(-self.scale, self.scale, count)
        flip = np.where(rng.random(count) < 0.5, -1.0, 1.0) if self.mirror else np.ones(count)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.stack([np.stack([cos * flip, -sin], 1), np.stack([sin * flip, cos], 1)], 1)
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        moved = centre + rng.uniform(-self.shift, self.shift, (count, 2)) * (width, height)
        offset = moved - linear @ centre
        return np.concatenate([linear, offset[:, :, None]], 2).astype(np.float32)

    def _levels(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Lookup tables from old to new grey values, shape (N, 256)."""
        contrast = 1 + rng.uniform(-self.contrast, self.contrast, (count, 1))
        brightness = 255 * rng.uniform(-self.brightness, self.brightness, (count, 1))
        levels = 127.5 + contrast * (np.arange(256) - 127.5) + brightness
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _soften(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = image.shape
    coarse = rng.uniform(20 / 48, 1)
    small = cv2.resize(image, (round(width * coarse), round(height * coarse)), interpolation=cv2.INTER_AREA)
    cv2.resize(small, (width, height), image, interpolation=cv2.INTER_LINEAR)


def _erase(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = image.shape
    rows, columns = rng.integers(height // 8, height // 3), rng.integers(width // 8, width // 3)
    top, left = rng.integers(height - rows), rng.integers(width - columns)
    image[top : top + rows, left : left + columns] = rng.integers(256)
