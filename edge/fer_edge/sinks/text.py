"""Anti-aliased text on images, from an atlas of letters in the package (tools/font_atlas.py)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from fer_edge.types import Image

_ATLAS = Path(__file__).resolve().parents[1] / "assets" / "font.npz"
# These are pixels per em and empty columns beside each letter, as in tools/font_atlas.py.
_EM, _MARGIN = 48, 4
# A line of text has this height in em: the atlas has half an em below the baseline, of which letters use half.
_ATLAS_LINE, _LINE = 1.5, 1.28
_OTHER = "□"

# A mask is how much of each pixel the text covers, 0..255, shape (H, W), uint8.
Mask = Image


def text_mask(text: str, em: int) -> Mask:
    """Render one line of text.

    Args:
        text: Latin letters; any other character becomes a square.
        em: size of the font in pixels. Even sizes are sharpest.

    Returns:
        Coverage 0..255, shape (1.28 em, W), uint8; the baseline is at row `em`. It is cached, so do not change it.
    """
    return _rendered(text, max(em, 2))


@lru_cache(maxsize=512)
def _rendered(text: str, em: int) -> Mask:
    letters = [_letters().get(letter) or _letters()[_OTHER] for letter in text]
    width = sum(advance for advance, _ in letters)
    line = np.zeros((round(_ATLAS_LINE * _EM), int(np.ceil(width)) + 2 * _MARGIN), np.uint8)
    left = 0.0
    for advance, cell in letters:
        place = line[:, round(left) : round(left) + cell.shape[1]]
        np.maximum(place, cell[:, : place.shape[1]], out=place)
        left += advance
    size = (max(round(line.shape[1] * em / _EM), 1), max(round(_ATLAS_LINE * em), 1))
    method = cv2.INTER_AREA if em < _EM else cv2.INTER_CUBIC
    mask = np.asarray(cv2.resize(line, size, interpolation=method), np.uint8)[: round(_LINE * em)]
    mask.setflags(write=False)
    return mask


@lru_cache(maxsize=1)
def _letters() -> dict[str, tuple[float, Mask]]:
    """Advance in pixels, and coverage, of each letter."""
    with np.load(_ATLAS, allow_pickle=False) as stored:
        cells = np.split(stored["atlas"], np.cumsum(stored["widths"])[:-1], axis=1)
        return {
            chr(code): (float(advance), cell)
            for code, advance, cell in zip(stored["codes"], stored["advances"], cells, strict=True)
        }


def draw_mask(image: Image, mask: Mask, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Draw a mask in a BGR colour with its upper left corner at (x, y), clipped to the image."""
    x, y = corner
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + mask.shape[0], image.shape[0]), min(x + mask.shape[1], image.shape[1])
    if bottom <= top or right <= left:
        return
    region = image[top:bottom, left:right]
    cover = cv2.cvtColor(mask[top - y : bottom - y, left - x : right - x], cv2.COLOR_GRAY2BGR)
    ink = np.full_like(region, colour)
    cv2.add(
        cv2.multiply(ink, cover, scale=1 / 255), cv2.multiply(region, cv2.bitwise_not(cover), scale=1 / 255), dst=region
    )
