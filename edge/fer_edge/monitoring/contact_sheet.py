"""Draw all samples on one image."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from fer_edge.errors import ConfigError, reason
from fer_edge.monitoring.samples import SampleFolder

# These are the side of a face and the height of the two lines of text below it, in pixels.
_FACE, _TEXT = 96, 30
_COLUMNS = 10


def write_sheet(folder: SampleFolder, out: Path) -> int:
    """Draw each sample, the model's label and the given one below it; return how many.

    Raises:
        ConfigError: there are none, or the image cannot be written.
    """
    samples, labels = folder.samples(), folder.labels()
    if not samples:
        raise ConfigError(f"{folder.folder}: there are no samples yet")
    rows = -(-len(samples) // _COLUMNS)
    sheet = np.full((rows * (_FACE + _TEXT), _COLUMNS * _FACE, 3), 255, np.uint8)
    for index, sample in enumerate(samples):
        top, left = index // _COLUMNS * (_FACE + _TEXT), index % _COLUMNS * _FACE
        face = cv2.resize(folder.picture(sample.id), (_FACE, _FACE), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + _FACE, left : left + _FACE] = face[:, :, None]
        given = labels[sample.id].answer if sample.id in labels else ""
        for line, text in enumerate((f"{sample.label} {sample.confidence:.2f}", given)):
            place = (left + 2, top + _FACE + 12 + 14 * line)
            cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    kind = out.suffix.lower()
    if kind not in {".png", ".jpg", ".jpeg"}:
        raise ConfigError(f"{out}: expected a name that ends in .png or .jpg")
    try:
        with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
            file.write(cv2.imencode(kind, sheet)[1].tobytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{out}: cannot be written ({reason(error)})") from error
    return len(samples)
