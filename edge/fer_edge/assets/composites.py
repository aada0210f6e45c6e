"""Composite faces: each is the mean of many faces and shows no real person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fer_edge.errors import SourceError
from fer_edge.labels import FER2013
from fer_edge.preprocess import MODEL_SIZE
from fer_edge.types import Image

# This image holds grey faces side by side in the order of FER2013's labels: shape (48, 48 * 7).
ATLAS = Path(__file__).resolve().parent / "composites.png"


def load_composites() -> dict[str, Image]:
    """The composite face of each label, shape (48, 48), grey. Raises SourceError if the asset is missing or damaged."""
    atlas = cv2.imread(str(ATLAS), cv2.IMREAD_GRAYSCALE)
    if atlas is None or atlas.shape != (MODEL_SIZE, MODEL_SIZE * len(FER2013)):
        raise SourceError(f"{ATLAS}: is missing or damaged. Install the package again")
    return dict(zip(FER2013, np.split(np.asarray(atlas, np.uint8), len(FER2013), axis=1), strict=True))
