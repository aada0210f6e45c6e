"""Show the result of `fer-train crop` in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.progress import track
from rich.table import Table

from fer_edge.labels import FER2013
from fer_edge.terminal import console, output_console
from fer_train.explore.crop import Photograph

# These findings are listed per photograph; the values are the headings of the table.
_TROUBLES = {"several faces": "several", "no face": "no face", "cannot be read": "broken", "twice": "twice"}


def with_progress(paths: list[Path]) -> Iterable[Path]:
    """Iterate over the photographs with a progress bar if standard error is a terminal."""
    return track(paths, "finding faces", console=console(), disable=not sys.stderr.isatty())


def print_photographs(found: Sequence[Photograph]) -> None:
    """Print the faces per class, then the photographs without one or with several."""
    table = Table(title="faces")
    for heading in ("class", "photos", "train", "validation", *_TROUBLES.values()):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for label in FER2013:
        mine = [photograph for photograph in found if photograph.label == label]
        splits = [sum(photograph.split == split for photograph in mine) for split in ("train", "validation")]
        troubles = [sum(photograph.finding == trouble for photograph in mine) for trouble in _TROUBLES]
        table.add_row(label, *map(str, (len(mine), *splits, *troubles)))
    out = output_console()
    out.print(table)
    for photograph in found:
        if photograph.finding in _TROUBLES:
            taken = ", the largest is used" if photograph.face is not None else ""
            out.print(f"{photograph.path}: {photograph.finding}{taken}", highlight=False, soft_wrap=True)
