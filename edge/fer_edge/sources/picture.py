"""A camera may deliver frames and yet show nothing: one even colour, or for ever the very same picture."""

from __future__ import annotations

import logging

import numpy as np

from fer_edge.sources import Observer
from fer_edge.types import Image

_log = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds for which pictures must be odd before it is said."""
_STEP = 16
"""Every so many pixels one is looked at."""
_EVEN = 2.0
"""Standard deviation of grey levels below which a picture is of one colour."""
_BLACK = 24.0
"""Mean grey level below which that colour is black."""


class PictureWatch:
    """Says it once when pictures are odd, and once when they are good again."""

    def __init__(self, description: str, observer: Observer | None) -> None:
        self._description = description
        self._observer = observer
        self._sample: Image | None = None
        self._oddity = ""
        self._odd_since = 0.0
        self._said = ""

    def look(self, image: Image, now: float) -> None:
        """Look at one picture, shape (H, W, 3), at `now` in seconds."""
        sample = image[::_STEP, ::_STEP].copy()
        oddity = self._judge(sample)
        self._sample = sample
        if oddity != self._oddity:
            self._oddity, self._odd_since = oddity, now
        if oddity == self._said or (oddity and now - self._odd_since < _PATIENCE):
            return
        self._said = oddity
        if oddity:
            _log.warning("%s delivers frames, but %s", self._description, oddity)
        else:
            _log.warning("%s shows something again", self._description)
        if self._observer:
            self._observer.remark(oddity)

    def _judge(self, sample: Image) -> str:
        if sample.std(axis=(0, 1)).max() < _EVEN:
            return "they are black: is the lens covered?" if sample.mean() < _BLACK else "they are of one colour"
        if self._sample is not None and np.array_equal(sample, self._sample):
            return "always the same one: is it frozen?"
        return ""
