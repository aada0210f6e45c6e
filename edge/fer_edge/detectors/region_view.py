"""The region around an expected face, as a cascade should see it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.detectors.cascades import even_light
from fer_edge.geometry import clip, expand
from fer_edge.preprocess import scaled, to_grey
from fer_edge.types import FaceBox, Image


class RegionView:
    """The region around a box, grey, scaled so that the box has a given side, rotated so that the head is upright."""

    def __init__(
        self, image: Image, expected: FaceBox, reach: float, side: float, roll: float = 0.0, *, mirrored: bool = False
    ) -> None:
        """Cut it out.

        Args:
            image: shape (H, W, 3), BGR, uint8.
            expected: the box.
            reach: side of the region in multiples of the box.
            side: side of the box in the view, pixels.
            roll: tilt of the head in degrees.
            mirrored: exchange left and right.
        """
        # A rotated square needs pixels around it.
        around = reach * (1 if roll == 0 else abs(math.sin(math.radians(roll))) + abs(math.cos(math.radians(roll))))
        region = clip(expand(expected, around), image.shape[1], image.shape[0])
        left, top = int(region.x), int(region.y)
        part = image[top : int(region.y + region.height), left : int(region.x + region.width)]
        self._roll, self._mirrored = roll, mirrored
        self.picture: Image = np.zeros((0, 0), np.uint8)
        if min(part.shape[:2]) < expected.width / 2:
            return
        grey = to_grey(part)
        small = scaled(grey, side / expected.width)
        self._scale = (grey.shape[1] / small.shape[1], grey.shape[0] / small.shape[0])
        self._corner = (left, top)
        self._turn: npt.NDArray[np.float64] = np.eye(2, 3)
        if roll != 0:
            square = round(side * reach)
            middle = (small.shape[1] / 2, small.shape[0] / 2)
            self._turn = np.asarray(cv2.getRotationMatrix2D(middle, roll, 1.0), np.float64)
            self._turn[:, 2] += square / 2 - np.array(middle)
            small = np.asarray(
                cv2.warpAffine(small, self._turn, (square, square), borderMode=cv2.BORDER_REPLICATE), np.uint8
            )
        picture = even_light(small)
        self.picture = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture

    def placed(self, box: FaceBox) -> FaceBox:
        """A box of this view in pixels of the frame."""
        x, y = box.x + box.width / 2, box.y + box.height / 2
        x = self.picture.shape[1] - x if self._mirrored else x
        back = cv2.invertAffineTransform(self._turn)  # NumPy's inverse would load OpenBLAS, many megabytes
        x, y = (float(row[0] * x + row[1] * y + row[2]) for row in back)
        width, height = box.width * self._scale[0], box.height * self._scale[1]
        x, y = x * self._scale[0] + self._corner[0] - width / 2, y * self._scale[1] + self._corner[1] - height / 2
        return FaceBox(float(x), float(y), width, height, box.score, self._roll)
