"""The loop of most such projects: the whole frame is searched each time, and Keras classifies each face."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from benchmarks.peer_loops.measure import measure, read_clip
from keras.models import load_model

from fer_edge.detectors.cascades import find_cascade

# Pixels: the smallest face looked for, as `fer` has it.
SMALLEST = 50

cascade = cv2.CascadeClassifier(str(find_cascade("haarcascade_frontalface_default.xml")))
model = load_model(sys.argv[4], compile=False)


def finds_face(image: Any) -> bool:  # noqa: ANN401 - an array
    """Read each face of a frame."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    faces = cascade.detectMultiScale(grey, 1.1, 5, minSize=(SMALLEST, SMALLEST))
    for x, y, width, height in faces:
        face = cv2.resize(grey[y : y + height, x : x + width], (48, 48))
        model.predict(face[None, :, :, None].astype(np.float32), verbose=0)
    return len(faces) > 0


measure(read_clip(sys.argv[1]), finds_face, int(sys.argv[3]))
