"""Detect frames without content: one colour, or always the same frame."""

from __future__ import annotations

import logging

import numpy as np

from fer_edge.sources import Observer
from fer_edge.sources.log_limiter import LogRateLimiter
from fer_edge.types import Image

_log = logging.getLogger(__name__)

# Frames must be bad, or good again, for this many seconds before that is logged.
_PATIENCE = 10.0
# One in so many pixels is examined.
_STEP = 16
# A frame with a smaller standard deviation of grey levels has one colour.
_EVEN = 2.0
# That colour is black if the mean grey level is below this.
_BLACK = 24.0


class FrameHealthMonitor:
    """Logs once when frames become bad and once when they are good again; rarely if that changes all the time."""

    def __init__(self, description: str, observer: Observer | None) -> None:
        self._description = description
        self._observer = observer
        self._sample: Image | None = None
        self._oddity = ""
        self._since = 0.0
        self._found = self._said = ""
        self._log_limiter = LogRateLimiter()

    def look(self, image: Image, now: float) -> None:
        """Examine one frame, shape (H, W, 3), at `now` in seconds."""
        sample = image[::_STEP, ::_STEP].copy()
        oddity = self._judge(sample)
        self._sample = sample
        if oddity != self._oddity:
            self._oddity, self._since = oddity, now
        if now - self._since < _PATIENCE:
            return
        if oddity != self._found and self._observer:
            self._observer.remark(oddity)
        self._found = oddity
        if oddity == self._said or not self._log_limiter.allows(now):
            return
        self._said = oddity
        if oddity:
            _log.warning("%s delivers frames, but %s", self._description, oddity)
        else:
            _log.warning("%s shows something again", self._description)

    def _judge(self, sample: Image) -> str:
        if sample.std(axis=(0, 1)).max() < _EVEN:
            return "they are black: is the lens covered?" if sample.mean() < _BLACK else "they are of one colour"
        if self._sample is not None and np.array_equal(sample, self._sample):
            return "always the same one: is it frozen?"
        return ""
