"""Pure functions on boxes."""

from __future__ import annotations

from collections.abc import Iterable

from fer_edge.types import FaceBox

# A box is inside another if at least this fraction of its area is. It is a part of it if the other has this many times
# its area, and at least this fraction of its score.
_INSIDE, _PART, _NEARLY = 0.9, 2.5, 0.75


def iou(a: FaceBox, b: FaceBox) -> float:
    """Intersection over union of two boxes, 0..1."""
    shared = _intersection(a, b)
    return shared / max(a.width * a.height + b.width * b.height - shared, 1e-9)


def overlap(a: FaceBox, b: FaceBox) -> float:
    """Intersection over the smaller of two boxes, 0..1: 1 if one is inside the other."""
    return _intersection(a, b) / max(min(a.width * a.height, b.width * b.height), 1e-9)


def distinct(boxes: Iterable[FaceBox], max_overlap: float) -> list[FaceBox]:
    """Non-maximum suppression: drop each box whose `overlap` with a better box is more than `max_overlap`.

    The better box has the higher score. But a box inside a much larger one of nearly the same score is an eye or a
    mouth of that face, so the larger one is kept. The best box comes first.
    """
    kept: list[FaceBox] = []
    for box in sorted(boxes, key=lambda box: box.score, reverse=True):
        rivals = [other for other in kept if overlap(box, other) > max_overlap]
        if all(_is_part_of(other, box) for other in rivals):
            kept = [other for other in kept if other not in rivals]
            kept.append(box)
    return kept


def best_at(place: FaceBox, boxes: Iterable[FaceBox], min_overlap: float = 0.5) -> FaceBox | None:
    """The box of the highest score whose `overlap` with a place is more than `min_overlap`; None if there is none."""
    there = (box for box in boxes if overlap(place, box) > min_overlap)
    return max(there, key=lambda box: box.score, default=None)


def _is_part_of(inner: FaceBox, outer: FaceBox) -> bool:
    """Whether a box is a part of the face of a larger box around it: much smaller, and not of a much higher score."""
    is_inside = overlap(inner, outer) >= _INSIDE
    is_small = inner.width * inner.height * _PART < outer.width * outer.height
    return is_inside and is_small and outer.score >= _NEARLY * inner.score


def clip(box: FaceBox, frame_width: int, frame_height: int) -> FaceBox:
    """Clip a box to the frame. A box outside the frame gets no area."""
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    right = min(box.x + box.width, float(frame_width))
    bottom = min(box.y + box.height, float(frame_height))
    return _placed(box, left, top, max(right - left, 0.0), max(bottom - top, 0.0))


def centred_between(a: FaceBox, b: FaceBox) -> FaceBox:
    """The second box, moved so that its centre is halfway between both centres."""
    dx = (a.x + a.width / 2 - b.x - b.width / 2) / 2
    dy = (a.y + a.height / 2 - b.y - b.height / 2) / 2
    return moved(b, dx, dy)


def expand(box: FaceBox, factor: float) -> FaceBox:
    """Scale a box about its centre."""
    return _resized(box, box.width * factor, box.height * factor)


def square(box: FaceBox) -> FaceBox:
    """The square with the same centre and the longer side of the box."""
    side = max(box.width, box.height)
    return _resized(box, side, side)


def shift(box: FaceBox, dx: float, dy: float) -> FaceBox:
    """Move a box by fractions of its own width and height."""
    return moved(box, dx * box.width, dy * box.height)


def moved(box: FaceBox, dx: float, dy: float) -> FaceBox:
    """Move a box by pixels."""
    return _placed(box, box.x + dx, box.y + dy, box.width, box.height)


def _resized(box: FaceBox, width: float, height: float) -> FaceBox:
    """Change the size of a box about its centre."""
    x, y = box.x + (box.width - width) / 2, box.y + (box.height - height) / 2
    return _placed(box, x, y, width, height)


def _placed(box: FaceBox, x: float, y: float, width: float, height: float) -> FaceBox:
    """The box of the same face elsewhere; `dataclasses.replace` takes three times as long."""
    return FaceBox(x, y, width, height, box.score, box.roll)


def _intersection(a: FaceBox, b: FaceBox) -> float:
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(width, 0.0) * max(height, 0.0)
