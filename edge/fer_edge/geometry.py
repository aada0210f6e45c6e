"""Pure functions on boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fer_edge.types import FaceBox


def iou(a: FaceBox, b: FaceBox) -> float:
    """Intersection over union of two boxes, 0..1."""
    shared = _intersection(a, b)
    return shared / max(a.width * a.height + b.width * b.height - shared, 1e-9)


def overlap(a: FaceBox, b: FaceBox) -> float:
    """Intersection over the smaller of two boxes, 0..1: 1 where one lies within the other."""
    return _intersection(a, b) / max(min(a.width * a.height, b.width * b.height), 1e-9)


def distinct(boxes: Iterable[FaceBox], most_shared: float) -> list[FaceBox]:
    """Leave out each box that shares more than a part `most_shared` with one of a higher score; the best first."""
    kept: list[FaceBox] = []
    for box in sorted(boxes, key=lambda box: box.score, reverse=True):
        if all(overlap(box, other) <= most_shared for other in kept):
            kept.append(box)
    return kept


def clip(box: FaceBox, frame_width: int, frame_height: int) -> FaceBox:
    """Cut a box to the frame. A box wholly outside comes back with no area."""
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    right = min(box.x + box.width, float(frame_width))
    bottom = min(box.y + box.height, float(frame_height))
    return replace(box, x=left, y=top, width=max(right - left, 0.0), height=max(bottom - top, 0.0))


def centred_between(a: FaceBox, b: FaceBox) -> FaceBox:
    """The second box, moved so that its centre lies halfway between both."""
    dx = (a.x + a.width / 2 - b.x - b.width / 2) / 2
    dy = (a.y + a.height / 2 - b.y - b.height / 2) / 2
    return replace(b, x=b.x + dx, y=b.y + dy)


def expand(box: FaceBox, factor: float) -> FaceBox:
    """Scale a box about its centre."""
    width, height = box.width * factor, box.height * factor
    return replace(
        box,
        x=box.x + (box.width - width) / 2,
        y=box.y + (box.height - height) / 2,
        width=width,
        height=height,
    )


def square(box: FaceBox) -> FaceBox:
    """The square with the same centre and the longer side of the box."""
    side = max(box.width, box.height)
    return replace(
        box,
        x=box.x + (box.width - side) / 2,
        y=box.y + (box.height - side) / 2,
        width=side,
        height=side,
    )


def shift(box: FaceBox, dx: float, dy: float) -> FaceBox:
    """Move a box by fractions of its own width and height."""
    return replace(box, x=box.x + dx * box.width, y=box.y + dy * box.height)


def _intersection(a: FaceBox, b: FaceBox) -> float:
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(width, 0.0) * max(height, 0.0)
