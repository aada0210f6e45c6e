"""Draw faces and labels on a picture."""

from __future__ import annotations

import cv2

from fer_edge.labels import FERPLUS8
from fer_edge.types import FrameResult, Image, TrackedFace

COLOURS = {
    "angry": (0, 94, 213),
    "disgust": (115, 158, 0),
    "fear": (167, 121, 204),
    "happy": (66, 228, 240),
    "sad": (178, 114, 0),
    "surprise": (0, 159, 230),
    "neutral": (220, 220, 220),
    "contempt": (233, 180, 86),
}
"""BGR. The palette of Okabe & Ito (2008), which colour-blind people can tell apart."""

_OTHER = (255, 255, 255)
_DARK = (24, 24, 24)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(result: FrameResult) -> Image:
    """Return a copy of the frame with a box, a label and a bar a class for each face."""
    image = result.frame.image.copy()
    unit = max(image.shape[0] / 480, 0.5)
    for face in result.faces:
        _draw_face(image, face, unit)
    return image


def _draw_face(image: Image, face: TrackedFace, unit: float) -> None:
    box = face.track.box
    left, top = round(box.x), round(box.y)
    right, bottom = round(box.x + box.width), round(box.y + box.height)
    colour = COLOURS.get(face.smoothed.label, _OTHER)
    cv2.rectangle(image, (left, top), (right, bottom), colour, max(round(2 * unit), 1), cv2.LINE_AA)
    text = f"#{face.track.id} {face.smoothed.label} {face.smoothed.confidence:.0%}"
    scale = 0.6 * unit
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, 1)
    foot = max(top, height + baseline + 2)
    cv2.rectangle(image, (left, foot - height - baseline - 2), (left + width + 4, foot), colour, cv2.FILLED)
    cv2.putText(image, text, (left + 2, foot - baseline), _FONT, scale, _DARK, max(round(unit), 1), cv2.LINE_AA)
    _draw_bars(image, face, (right + round(4 * unit), top), unit)


def _draw_bars(image: Image, face: TrackedFace, corner: tuple[int, int], unit: float) -> None:
    """One bar a class beside the box, longest where the class is sure."""
    left, top = corner
    step, length = round(11 * unit), round(60 * unit)
    for row, (name, share) in enumerate(zip(FERPLUS8, face.smoothed.probabilities, strict=False)):
        y = top + row * step
        end = left + max(round(length * float(share)), 1)
        cv2.rectangle(image, (left, y), (left + length, y + step - 2), _DARK, cv2.FILLED)
        cv2.rectangle(image, (left, y), (end, y + step - 2), COLOURS[name], cv2.FILLED)
        for colour, thickness in ((_DARK, 3), (_OTHER, 1)):  # outlined: readable on every bar
            place = (left + 2, y + step - 4)
            cv2.putText(image, name, place, _FONT, 0.3 * unit, colour, thickness, cv2.LINE_AA)
