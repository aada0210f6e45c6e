"""The label sets, and the one order in which every model reports them."""

from __future__ import annotations

from typing import Final

FER2013: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven classes of FER2013 (Goodfellow et al., 2013), in the order of its `emotion` column."""

FERPLUS8: Final = (*FER2013, "contempt")
"""FER2013's classes, then contempt, the eighth class of FER+ (Barsoum et al., 2016)."""

UNCERTAIN = "uncertain"
"""Shown instead of a label while none is probable enough."""
