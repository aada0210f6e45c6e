"""Turn a face box into the model's input. Training and the runtime both use this module."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fer_edge.geometry import expand, shift, square
from fer_edge.types import FaceBox, Image

# The model's input has this width and height in pixels, as FER2013's images.
MODEL_SIZE = 48

# Heads with more roll than this, in degrees, are roll-corrected. FER2013's own heads have about as much.
_MIN_ROLL = 10.0


@dataclass(frozen=True, slots=True)
class CropCalibration:
    """The transform from a detector's box to the crop that FER2013 would show.

    The box is made square, shifted by fractions of its side along the axes of the head, and scaled about its centre.
    """

    scale: float = 1.0
    dx: float = 0.0
    dy: float = 0.0

    def apply(self, box: FaceBox) -> FaceBox:
        """Return the square crop for a detector's box; it may reach beyond the frame."""
        tilt = math.radians(box.roll)
        dx = self.dx * math.cos(tilt) - self.dy * math.sin(tilt)
        dy = self.dx * math.sin(tilt) + self.dy * math.cos(tilt)
        return expand(shift(square(box), dx, dy), self.scale)


def to_grey(image: Image) -> Image:
    """Return a grey image, shape (H, W), from (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[:, :, 0]
    code = cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def resize(image: Image, size: int = MODEL_SIZE) -> Image:
    """Scale a square image to shape (size, size): area averaging down, linear interpolation up."""
    if image.shape[:2] == (size, size):
        return image
    method = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), np.uint8)


def scaled(grey: Image, scale: float) -> Image:
    """Scale a grey image for a search."""
    return resized(grey, (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1)))


def resized(grey: Image, size: tuple[int, int]) -> Image:
    """Scale a grey image to a width and height for a search.

    Whole pixels are averaged first, then interpolated. This is several times faster than averaging parts of pixels.
    """
    whole = min(grey.shape[1] // size[0], grey.shape[0] // size[1])
    if whole > 1:
        halfway = (grey.shape[1] // whole, grey.shape[0] // whole)
        grey = np.asarray(cv2.resize(grey, halfway, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def crop_face(
    image: Image, box: FaceBox, crop_calibration: CropCalibration, size: int = MODEL_SIZE, *, in_colour: bool = False
) -> Image:
    """Crop the model's input from a frame.

    Args:
        image: the frame, grey or BGR, uint8.
        box: the face box of the detector, in pixels of `image`.
        crop_calibration: the transform of that detector.
        size: width and height of the model's input in pixels.
        in_colour: keep the colours of a BGR frame.

    Returns:
        The crop, uint8: grey, shape (size, size), or with `in_colour` like the frame, shape (size, size, 3). Beyond the
        frame, its border pixels are repeated. A head with more roll than 10 degrees is roll-corrected.
    """
    crop = crop_calibration.apply(box)
    side = max(round(crop.width), 1)
    face = _roll_corrected(image, crop, side) if abs(box.roll) > _MIN_ROLL else _upright(image, crop, side)
    return resize(face if in_colour else to_grey(face), size)


def _upright(image: Image, crop: FaceBox, side: int) -> Image:
    """Crop a square from a frame; beyond the frame, its border pixels are repeated."""
    left, top = round(crop.x), round(crop.y)
    height, width = image.shape[:2]
    inside = image[
        min(max(top, 0), height - 1) : max(min(top + side, height), 1),
        min(max(left, 0), width - 1) : max(min(left + side, width), 1),
    ]
    missing = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    if any(missing):
        return np.asarray(cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE), np.uint8)
    return inside


def _roll_corrected(image: Image, crop: FaceBox, side: int) -> Image:
    """Crop a square from a frame, rotated by the roll of the head about its centre."""
    centre = (crop.x + crop.width / 2, crop.y + crop.height / 2)
    turn = cv2.getRotationMatrix2D(centre, crop.roll, 1.0)
    turn += np.array([[0, 0, side / 2 - centre[0]], [0, 0, side / 2 - centre[1]]])
    return np.asarray(cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)
