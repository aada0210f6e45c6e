"""Hide faces under coarse pixels, also for a moment after a face was lost."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fer_edge.geometry import clip, expand
from fer_edge.types import FaceBox, FrameResult

# The hidden region has this size, in multiples of the box, for hair, chin and the jitter of the box.
_MARGIN = 1.5
# A region stays hidden for this many seconds after its face was last seen.
_KEEP_S = 1.0
# A hidden region has this many pixels in each direction. At eight, people and programs only guess.
_CELLS = 6


class FaceBlur:
    """Hides the faces in a sequence of results."""

    def __init__(self) -> None:
        self._regions: dict[int, tuple[float, FaceBox]] = {}

    def apply(self, result: FrameResult) -> FrameResult:
        """Return the result with an image in which no face can be recognised; the given result is unchanged."""
        frame = result.frame
        if frame.still:
            self._regions.clear()
        for face in result.faces:
            self._regions[face.id] = (frame.captured_at, face.box)
        self._regions = {
            identity: (seen_at, box)
            for identity, (seen_at, box) in self._regions.items()
            if frame.captured_at - seen_at <= _KEEP_S
        }
        if not self._regions:
            return replace(result, frame=replace(frame, small=None))
        image = frame.image.copy()
        height, width = image.shape[:2]
        for _, box in self._regions.values():
            part = clip(expand(box, _MARGIN), width, height)
            left, top = int(part.x), int(part.y)
            right, bottom = int(np.ceil(part.x + part.width)), int(np.ceil(part.y + part.height))
            region = image[top:bottom, left:right]
            if region.size:
                coarse = cv2.resize(region, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
                size = (region.shape[1], region.shape[0])
                image[top:bottom, left:right] = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST)
        return replace(result, frame=replace(frame, image=image, small=None))
