"""Draw faces and labels on a picture, large enough to read a TV from three metres."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fer_edge.labels import FERPLUS8
from fer_edge.types import FaceBox, FrameResult, Image, TrackedFace

# BGR. The palette of Okabe & Ito (2008), which colour-blind people can tell apart.
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

_LIGHT = (255, 255, 255)
_DARK = (24, 24, 24)
_FONT = cv2.FONT_HERSHEY_DUPLEX
# Font scale in a picture 480 high: capitals of 4 % of its height. Seen from three metres, 20 minutes of arc, the least
# that reads at ease, are 3.5 % of a 40-inch screen's height.
_LABEL = 0.9
_SMALL = 0.5
# Height and length of a bar, in pixels of a picture 480 high.
_ROW, _BAR = 17, 112


def draw(result: FrameResult, size: tuple[int, int] | None = None, *, mirror: bool = False, status: str = "") -> Image:
    """Return a copy of the frame with a box, a label and a bar per class for each face.

    Args:
        result: the frame and its faces.
        size: (width, height) in pixels that the copy fills as far as it can without distortion; the frame's own if
            left out.
        mirror: whether left and right change places, but for the text.
        status: a line for the lower left corner.
    """
    frame = result.frame.image
    scale = min(size[0] / frame.shape[1], size[1] / frame.shape[0]) if size else 1.0
    image = _scaled(frame, scale)
    if mirror:
        image = np.asarray(cv2.flip(image, 1), np.uint8)
    unit = max(image.shape[0] / 480, 0.5)
    for face in result.visible_faces:
        _draw_face(image, face, _placed(face.track.box, scale, image.shape[1] if mirror else None), unit)
    if status:
        _outlined(image, status, (round(8 * unit), image.shape[0] - round(10 * unit)), 0.7 * unit)
    return image


def _scaled(image: Image, scale: float) -> Image:
    if scale == 1.0:
        return image.copy()
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


def _placed(box: FaceBox, scale: float, mirror_width: int | None) -> FaceBox:
    x, width = box.x * scale, box.width * scale
    left = x if mirror_width is None else mirror_width - x - width
    return replace(box, x=left, y=box.y * scale, width=width, height=box.height * scale)


def _draw_face(image: Image, face: TrackedFace, box: FaceBox, unit: float) -> None:
    left, top = round(box.x), round(box.y)
    right, bottom = round(box.x + box.width), round(box.y + box.height)
    colour = COLOURS.get(face.smoothed.label, _LIGHT)
    cv2.rectangle(image, (left, top), (right, bottom), colour, max(round(3 * unit), 1), cv2.LINE_AA)
    foot = _draw_label(image, face, (left, top), colour, unit)
    bar = round(_BAR * unit)
    gap = round(6 * unit)
    start = right + gap if right + gap + bar <= image.shape[1] else left - gap - bar
    highest = image.shape[0] - round(_ROW * unit) * len(face.smoothed.probabilities)
    _draw_bars(image, face, (max(start, 0), max(min(foot, highest), 0)), unit)


def _draw_label(
    image: Image, face: TrackedFace, corner: tuple[int, int], colour: tuple[int, int, int], unit: float
) -> int:
    """Above the box, or as near as the picture allows; return where the label ends."""
    text = f"#{face.track.id} {face.smoothed.label} {face.smoothed.confidence:.0%}"
    thickness = max(round(1.5 * unit), 1)
    (width, height), baseline = cv2.getTextSize(text, _FONT, _LABEL * unit, thickness)
    left = max(min(corner[0], image.shape[1] - width - 4), 0)
    foot = max(corner[1], height + baseline + 2)
    cv2.rectangle(image, (left, foot - height - baseline - 2), (left + width + 4, foot), colour, cv2.FILLED)
    ink = _DARK if np.dot(colour, (0.114, 0.587, 0.299)) > 110 else _LIGHT  # luma, ITU-R BT.601
    cv2.putText(image, text, (left + 2, foot - baseline), _FONT, _LABEL * unit, ink, thickness, cv2.LINE_AA)
    return foot


def _draw_bars(image: Image, face: TrackedFace, corner: tuple[int, int], unit: float) -> None:
    """One bar per class beside the box, longest where the class is sure."""
    left, top = corner
    step, length = round(_ROW * unit), round(_BAR * unit)
    for row, (name, share) in enumerate(zip(FERPLUS8, face.smoothed.probabilities, strict=False)):
        y = top + row * step
        end = left + max(round(length * float(share)), 1)
        cv2.rectangle(image, (left, y), (left + length, y + step - 2), _DARK, cv2.FILLED)
        cv2.rectangle(image, (left, y), (end, y + step - 2), COLOURS[name], cv2.FILLED)
        _outlined(image, name, (left + round(3 * unit), y + step - round(5 * unit)), _SMALL * unit)


def _outlined(image: Image, text: str, place: tuple[int, int], scale: float) -> None:
    """Light text with a dark edge, readable on anything."""
    thickness = max(round(scale), 1)
    for colour, width in ((_DARK, thickness + max(round(4 * scale), 2)), (_LIGHT, thickness)):
        cv2.putText(image, text, place, _FONT, scale, colour, width, cv2.LINE_AA)
