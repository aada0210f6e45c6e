"""Draw faces and labels on a frame, for the screen, recordings, annotated copies and the live page."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from fer_edge.labels import FERPLUS8
from fer_edge.sinks.placement import Area, bars_places, clearest, label_places
from fer_edge.sinks.text import Mask, draw_mask, text_mask
from fer_edge.types import FaceBox, FrameResult, Image, TrackedFace

Colour = tuple[int, int, int]

# These are BGR colours from the palette of Okabe & Ito (2008), which colour-blind people can distinguish.
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

_LIGHT, _QUIET, _GROOVE, _DARK = (255, 255, 255), (190, 190, 190), (96, 96, 96), (24, 24, 24)
# This fraction of the image shows through under text.
_THROUGH = 0.15
# These are font sizes (em) in pixels of an image that is 480 pixels high. Capitals of a label have 4 % of the image's
# height. From three metres, the smallest comfortable size, 20 minutes of arc, is 3.5 % of the height of a 40-inch
# screen. The smaller sizes are used if there is no room for the first.
_LABEL_EMS, _BARS_EMS = (26, 18, 13), (16, 12)
# Letters are not readable below this font size in pixels.
_LEAST_EM = 10
# These are the line width of a box and the gap around it, in pixels of an image that is 480 pixels high.
_LINE, _GAP = 3, 6
# These are in em: the height of a class' row, the start of its bar below the name, and the height of the bar.
_ROW, _BAR_TOP, _BAR = 1.45, 1.18, 0.25
# The note beside a label has this relative size.
_NOTE = 0.62


def draw(
    result: FrameResult,
    size: tuple[int, int] | None = None,
    *,
    mirror: bool = False,
    status: str = "",
    score: bool = False,
) -> Image:
    """Return a copy of the frame with a box, a label and a bar per class for each face.

    Labels are beside the faces if there is room. Bars that would cover a face are not drawn.

    Args:
        result: the frame and its faces.
        size: largest (width, height) in pixels of the copy, which keeps its proportions; None for the frame's size.
        mirror: whether to mirror the image, but not the text.
        status: a line for the lower left corner.
        score: whether labels show the detector's score.
    """
    frame = result.frame.image
    scale = min(size[0] / frame.shape[1], size[1] / frame.shape[0]) if size else 1.0
    image = _scaled(frame, scale)
    if mirror:
        image = np.asarray(cv2.flip(image, 1), np.uint8)
    _Overlay(image, result.labels or FERPLUS8, score=score).draw(result.visible_faces, scale, status, mirror=mirror)
    return image


def _scaled(image: Image, scale: float) -> Image:
    if scale == 1.0:
        return image.copy()
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


class _Overlay:
    """What is drawn on one picture."""

    def __init__(self, image: Image, labels: tuple[str, ...], *, score: bool) -> None:
        self._image = image
        self._labels = labels
        self._score = score
        self._picture = Area(0, 0, image.shape[1], image.shape[0])
        self._unit = image.shape[0] / 480
        self._taken: list[Area] = []

    def draw(self, faces: tuple[TrackedFace, ...], scale: float, status: str, *, mirror: bool) -> None:
        boxes = [self._place(face.box, scale, mirror=mirror) for face in faces]
        self._taken = list(boxes)
        for face, box in zip(faces, boxes, strict=True):
            self._draw_box(box, _colour(face))
        if status:
            self._draw_status(status)
        labels = [self._draw_label(face, box) for face, box in zip(faces, boxes, strict=True)]
        for face, box, label in zip(faces, boxes, labels, strict=True):
            self._draw_bars(face, box, label)

    def _place(self, box: FaceBox, scale: float, *, mirror: bool) -> Area:
        left, right = round(box.x * scale), round((box.x + box.width) * scale)
        if mirror:
            left, right = self._picture.right - right, self._picture.right - left
        return Area(left, round(box.y * scale), right, round((box.y + box.height) * scale))

    def _em(self, size: float) -> int:
        """Size of a font in this image: an even number of pixels, which makes letters sharp."""
        em: int = 2 * round(size * self._unit / 2)
        return max(em, _LEAST_EM)

    def _draw_box(self, box: Area, colour: Colour) -> None:
        """Draw a coloured line with a dark edge, visible on any background."""
        line = max(round(_LINE * self._unit), 1)
        for ink, thickness in ((_DARK, line + 2), (colour, line)):
            cv2.rectangle(self._image, (box.left, box.top), (box.right, box.bottom), ink, thickness)

    def _draw_status(self, status: str) -> None:
        text = text_mask(status, self._em(_BARS_EMS[0]))
        place = Area(0, self._picture.bottom - text.shape[0], text.shape[1], self._picture.bottom)
        self._darken(place)
        draw_mask(self._image, text, (place.left, place.top), _LIGHT)
        self._taken.append(place)

    def _draw_label(self, face: TrackedFace, box: Area) -> Area:
        """Draw label and probability, and a smaller note; return the area."""
        for size in _LABEL_EMS:
            em, small = self._em(size), self._em(size * _NOTE)
            text, note = text_mask(f"{face.label} {face.confidence:.0%}", em), text_mask(self._note(face), small)
            stripe = em // 3
            width = stripe + text.shape[1] + note.shape[1]
            place, covered = clearest(label_places(box, width, text.shape[0], self._picture), self._taken)
            if not covered:
                break
        self._darken(place)
        self._fill(Area(place.left, place.top, place.left + stripe, place.bottom), _colour(face))
        draw_mask(self._image, text, (place.left + stripe, place.top), _LIGHT)
        draw_mask(self._image, note, (place.right - note.shape[1], place.top + em - small), _QUIET)
        self._taken.append(place)
        return place

    def _note(self, face: TrackedFace) -> str:
        return f"#{face.id} face {face.box.score:.2f}" if self._score else f"#{face.id}"

    def _draw_bars(self, face: TrackedFace, box: Area, label: Area) -> None:
        """Draw each class' name and a bar of its probability; nothing if there is no room."""
        gap = round(_GAP * self._unit)
        values = face.smoothed.probabilities
        for size in _BARS_EMS:
            names = _names(self._labels[: len(values)], em := self._em(size))
            height, width = names.shape
            place, covered = clearest(bars_places(box, label, width, height, gap, self._picture), self._taken)
            if not covered and height <= self._picture.bottom and width <= self._picture.right:
                break
        else:
            return
        self._darken(place)
        draw_mask(self._image, names, (place.left, place.top), _LIGHT)
        left, length = place.left + em // 3, width - 2 * (em // 3)
        for row, (name, value) in enumerate(zip(self._labels, values, strict=False)):
            top = place.top + round((row * _ROW + _BAR_TOP) * em)
            end = left + max(round(length * float(value)), 1)
            self._fill(Area(left, top, left + length, top + max(round(_BAR * em), 2)), _GROOVE)
            self._fill(Area(left, top, end, top + max(round(_BAR * em), 2)), COLOURS.get(name, _LIGHT))
        self._taken.append(place)

    def _darken(self, area: Area) -> None:
        """Darken the background of light text, so that it is readable on any image."""
        part = self._part(area)
        if part.size:
            cv2.convertScaleAbs(part, dst=part, alpha=_THROUGH, beta=_DARK[0])

    def _fill(self, area: Area, colour: Colour) -> None:
        self._part(area)[:] = colour

    def _part(self, area: Area) -> Image:
        return self._image[max(area.top, 0) : max(area.bottom, 0), max(area.left, 0) : max(area.right, 0)]


def _colour(face: TrackedFace) -> Colour:
    return COLOURS.get(face.label, _LIGHT)


@lru_cache(maxsize=16)
def _names(labels: tuple[str, ...], em: int) -> Mask:
    """The names of the classes, one per row, with room for a bar below each."""
    lines = [text_mask(name, em) for name in labels]
    pad = em // 3
    mask = np.zeros((round(len(lines) * _ROW * em + pad), max(line.shape[1] for line in lines) + 2 * pad), np.uint8)
    for row, line in enumerate(lines):
        place = mask[round(row * _ROW * em) :][: line.shape[0], pad:]
        place[:, : line.shape[1]] |= line[: place.shape[0]]
    mask.setflags(write=False)
    return mask
