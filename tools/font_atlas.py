"""Make the font of the labels: `edge/fer_edge/assets/font.npz`.

    python tools/font_atlas.py

It renders the letters of DejaVu Sans Bold, which matplotlib ships with its licence, once and in grey, so that a device
needs neither a font file nor a library that reads one. It needs the packages of the extra `train`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
OUT = Path(__file__).resolve().parents[1] / "edge" / "fer_edge" / "assets" / "font.npz"
# Pixels per em, rows above the baseline and below it. A baseline at a whole em stays sharp in every even size.
EM, ABOVE, BELOW = 48, 48, 24
# Columns beside each letter, for what reaches out of its advance.
MARGIN = 4
# Basic Latin, Latin-1 and Latin Extended-A; the ellipsis, and the square that stands for every other letter.
LETTERS = [chr(code) for first, end in ((0x20, 0x7F), (0xA0, 0x180)) for code in range(first, end)] + ["…", "□"]


def main() -> None:
    """Write the atlas and the licence."""
    parser = argparse.ArgumentParser(description="Make the font atlas of the runtime.")
    parser.add_argument("--out", type=Path, default=OUT)
    out: Path = parser.parse_args().out
    font = ImageFont.truetype(str(FONTS / "DejaVuSans-Bold.ttf"), EM)
    cells = [_cell(letter, font) for letter in LETTERS]
    np.savez_compressed(
        out,
        codes=np.array([ord(letter) for letter in LETTERS], np.uint32),
        advances=np.array([font.getlength(letter) for letter in LETTERS], np.float32),
        widths=np.array([cell.shape[1] for cell in cells], np.uint16),
        atlas=np.concatenate(cells, axis=1),
    )
    shutil.copyfile(FONTS / "LICENSE_DEJAVU", out.with_name("LICENSE-DejaVu.txt"))


def _cell(letter: str, font: ImageFont.FreeTypeFont) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """One letter's coverage, shape (ABOVE + BELOW, its advance and both margins), in 16 levels, which pack well."""
    picture = Image.new("L", (int(np.ceil(font.getlength(letter))) + 2 * MARGIN, ABOVE + BELOW))
    ImageDraw.Draw(picture).text((MARGIN, ABOVE), letter, 255, font, anchor="ls")
    return np.asarray((np.asarray(picture, np.uint16) + 8) // 17 * 17, np.uint8)


if __name__ == "__main__":
    main()
