"""The label sets, in the order of every model's outputs."""

from __future__ import annotations

from typing import Final

# The seven classes of FER2013 (Goodfellow et al., 2013), in the order of its `emotion` column.
FER2013: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# FER2013's classes, then contempt, the eighth class of FER+ (Barsoum et al., 2016).
FERPLUS8: Final = (*FER2013, "contempt")

# This is shown instead of a label while no label is probable enough.
UNCERTAIN = "uncertain"
