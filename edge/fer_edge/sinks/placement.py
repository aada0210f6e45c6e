"""Place labels and bars beside the faces, inside the image, without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in whole pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def shared(self, other: Area) -> int:
        """Pixels that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


def label_places(face: Area, width: int, height: int, picture: Area) -> Iterator[Area]:
    """Places for a label of this size, the best first: above, below, on either side, and inside the face's bottom."""
    for left, top in (
        (face.left, face.top - height),
        (face.left, face.bottom),
        (face.right, face.top),
        (face.left - width, face.top),
        (face.left, face.bottom - height),
    ):
        yield _inside(Area(left, top, left + width, top + height), picture)


def bars_places(face: Area, label: Area, width: int, height: int, gap: int, picture: Area) -> Iterator[Area]:
    """Places for the bars, the best first: right, left, below, above the face and its label."""
    foot, head = max(face.bottom, label.bottom) + gap, min(face.top, label.top) - gap - height
    for left, top in (
        (face.right + gap, face.top),
        (face.left - gap - width, face.top),
        (face.left, foot),
        (face.left, head),
    ):
        yield _inside(Area(left, top, left + width, top + height), picture)


def clearest(places: Iterable[Area], taken: Iterable[Area]) -> tuple[Area, int]:
    """The first place that overlaps least with the taken areas, and the overlap in pixels."""
    obstacles = tuple(taken)
    return min(
        ((place, sum(place.shared(other) for other in obstacles)) for place in places), key=lambda found: found[1]
    )


def _inside(area: Area, picture: Area) -> Area:
    """Move an area into the image; to the upper left corner if it is too large."""
    right = max(min(0, picture.right - area.right), -area.left)
    down = max(min(0, picture.bottom - area.bottom), -area.top)
    return Area(area.left + right, area.top + down, area.right + right, area.bottom + down)
