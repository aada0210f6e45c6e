"""A base class for a detector of your own: it needs one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from fer_edge.geometry import best_at, clip, expand
from fer_edge.preprocess import CropCalibration
from fer_edge.types import FaceBox, Image


class BaseDetector(ABC):
    """Builds a `Detector` from only one method, `find_faces`.

    A scan is one call of `find_faces` with the whole frame. A region search is one call with a cut-out of it.
    A new face is confirmed by a region search; if the sum of both scores is at least `certain`, it is shown at once.
    """

    crop_calibration = CropCalibration()
    certain = 0.9
    variants = 1

    @abstractmethod
    def find_faces(self, image: Image) -> list[FaceBox]:
        """Return the faces in an image, shape (H, W, 3), BGR, uint8. Boxes are in pixels of that image."""

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """Return the parts of a scan: here one, the whole frame of `width` x `height` pixels."""
        return [FaceBox(0, 0, width, height)]

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:  # noqa: ARG002 - there is only one part
        """Search a whole image, shape (H, W, 3), BGR, uint8."""
        return self.find_faces(image)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Search only around the expected box, in a region of `reach` times its side."""
        region = clip(expand(expected, reach), image.shape[1], image.shape[0])
        left, top = int(region.x), int(region.y)
        part = image[top : int(region.y + region.height), left : int(region.x + region.width)]
        if part.size == 0:
            return []
        return [replace(box, x=box.x + left, y=box.y + top) for box in self.find_faces(part)]

    def confirm(self, image: Image, box: FaceBox) -> FaceBox | None:
        """Do a region search where a scan found a face, and return the best box there."""
        return best_at(box, self.detect_near(image, box))

    def close(self) -> None:  # noqa: B027 - few detectors hold anything
        """Release what the detector holds. Nothing by default."""
