"""Overlapping square tiles of an image, in which small faces are large enough for a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fer_edge.types import FaceBox

_LARGEST = 0.5  # of a tile's side: what is larger is found in the larger tiles, and whole
_EDGE = 0.5  # pixels


def tiles(width: int, height: int, side: float, overlap: float) -> list[FaceBox]:
    """Cover an image with tiles.

    Args:
        width: width of the image in pixels.
        height: height of the image in pixels.
        side: side of a tile in pixels; a tile is cut if the image is narrower.
        overlap: smallest overlap of neighbours in pixels: anything smaller is completely inside one of them.
    """
    return [
        FaceBox(x, y, min(side, width), min(side, height))
        for y in _starts(height, side, overlap)
        for x in _starts(width, side, overlap)
    ]


def whole_in(tile: FaceBox, boxes: Sequence[FaceBox], width: int, height: int) -> list[FaceBox]:
    """The boxes found in a tile that are small in it and not cut by its inner edges."""
    largest = _LARGEST * max(tile.width, tile.height)
    right, bottom = tile.x + tile.width, tile.y + tile.height
    return [
        box
        for box in boxes
        if max(box.width, box.height) <= largest
        and (box.x >= tile.x or tile.x < _EDGE)
        and (box.y >= tile.y or tile.y < _EDGE)
        and (box.x + box.width <= right or right > width - _EDGE)
        and (box.y + box.height <= bottom or bottom > height - _EDGE)
    ]


def _starts(length: int, side: float, overlap: float) -> list[float]:
    """Start positions of the tiles of a row, evenly spread."""
    if side >= length:
        return [0.0]
    count = 1 + math.ceil((length - side) / (side - overlap))
    return [index * (length - side) / (count - 1) for index in range(count)]
