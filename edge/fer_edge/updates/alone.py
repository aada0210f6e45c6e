"""Judge a new model that cannot be compared with the one before it, by fixed bounds."""

from __future__ import annotations

from fer_edge.model.manifest import Manifest
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.expected_accuracy import chance_right
from fer_edge.types import Prediction
from fer_edge.updates.comparison import LEAST_FACES

# The shipped models stay far from these bounds on FER2013: they only catch what is plainly useless.
_MOST_UNCERTAIN, _LEAST_ACCURACY = 0.5, 0.5


class Alone:
    """Keeps sums of what the new model says in the run, no face."""

    def __init__(self, manifest: Manifest, uncertain_below: float, min_fps: float) -> None:
        """Prepare.

        Args:
            manifest: of the new model.
            uncertain_below: confidence below which a label is uncertain.
            min_fps: frames per second that it must allow.
        """
        self._estimate = manifest.reference.estimate if manifest.reference else None
        self._uncertain_below = uncertain_below
        self._min_fps = min_fps
        self.faces = 0
        self._uncertain = 0
        self._right = 0.0

    def add(self, seen: Prediction) -> None:
        """Count a face of the run."""
        self.faces += 1
        self._uncertain += seen.confidence < self._uncertain_below
        if self._estimate and seen.crop is not None:
            self._right += chance_right(self._estimate, seen.confidence, crop_statistics(seen.crop))

    def problem(self) -> str | None:
        """Why the model is useless; None if it is not, or it saw too few faces."""
        if self.faces < LEAST_FACES:
            return None
        if (share := self._uncertain / self.faces) > _MOST_UNCERTAIN:
            return f"{share:.0%} of its labels are uncertain, and {_MOST_UNCERTAIN:.0%} are the most"
        if self._estimate and (right := self._right / self.faces) < _LEAST_ACCURACY:
            return f"its expected accuracy is {right:.0%}, and {_LEAST_ACCURACY:.0%} the least"
        return None

    def speed_problem(self, frame_ms: float, limit: float) -> str | None:
        """Why it is too slow; None if it is not, or it saw too few faces.

        Args:
            frame_ms: milliseconds per frame of the loop.
            limit: frames per second that the camera delivers, or that are wanted.
        """
        if self.faces < LEAST_FACES or not frame_ms:
            return None
        now, wanted = 1000 / frame_ms, min(self._min_fps, limit)
        return f"it allows {now:.1f} frames per second, and {wanted:g} are the least" if now < wanted else None
