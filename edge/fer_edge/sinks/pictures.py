"""Outputs for still images: annotated copies, and a table of the faces."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
from rich.cells import cell_len, set_cell_size
from rich.markup import escape
from rich.table import Table

from fer_edge.errors import ConfigError, reason
from fer_edge.sinks import Sink
from fer_edge.sinks.overlay import draw
from fer_edge.sinks.serialize import as_utf8
from fer_edge.terminal import encodable, output_console, printable
from fer_edge.types import FrameResult

# A small image is enlarged up to this height in pixels, so that its text is readable,
_LOWEST = 480
# but only up to this width in pixels: a strip of two pixels in height would need gigabytes.
_WIDEST = 4 * _LOWEST
# Kinds of images that OpenCV writes, by their suffixes.
_WRITTEN = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
# A file's name has at most this many bytes.
_LONGEST_NAME = 255
_HEADINGS = ("picture", "face", "expression", "confidence", "x, y, width, height")
# A name gets at least this many columns of a narrow terminal.
_SHORTEST_NAME = 16


class AnnotatedPictures(Sink):
    """Writes a copy of each image into a folder, as NAME.annotated.jpg, so that no image of that folder is replaced."""

    def __init__(self, folder: Path, *, score: bool = False) -> None:
        self._folder = folder
        self._score = score
        self.description = str(folder)

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise ConfigError(f"'{self._folder}': cannot be created ({reason(error)})") from error
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def emit(self, result: FrameResult) -> None:
        """Write one copy, atomically. Raises OSError if that fails."""
        frame = result.frame
        height, width = frame.image.shape[:2]
        size = None if height >= _LOWEST else (max(width, _WIDEST), _LOWEST)
        copy = self._folder / Path(frame.name).with_name(_copy_name(Path(frame.name)))
        copy.parent.mkdir(parents=True, exist_ok=True)
        aside = copy.with_name(f".{os.getpid()}.part")
        try:
            written, content = cv2.imencode(copy.suffix, draw(result, size, score=self._score))
            if not written:
                raise OSError(f"OpenCV cannot write {copy.suffix}")
            aside.write_bytes(content.tobytes())  # OpenCV itself takes only names that are UTF-8
            aside.replace(copy)
        finally:
            aside.unlink(missing_ok=True)


def _copy_name(name: Path) -> str:
    """The name of a copy: NAME.annotated.SUFFIX, as JPEG where OpenCV writes no such file, cut where it is too long."""
    stem, suffix = (name.stem, name.suffix) if name.suffix.lower() in _WRITTEN else (name.name, ".jpg")
    end = f".annotated{suffix}"
    if len(os.fsencode(stem + end)) <= _LONGEST_NAME:
        return stem + end
    end = f"~{hashlib.sha256(os.fsencode(name.name)).hexdigest()[:8]}{end}"
    return os.fsencode(stem)[: _LONGEST_NAME - len(os.fsencode(end))].decode(errors="ignore") + end


class PictureTable(Sink):
    """Prints one row per face on standard output when all images are done."""

    description = "the table"

    def __init__(self) -> None:
        self._rows: list[tuple[str, ...]] = []

    def __exit__(self, *_: object) -> None:
        if not self._rows:
            return
        console = output_console()
        table = Table()
        rows = [_HEADINGS, *self._rows]
        if console.width - _width_of_others(rows) < _SHORTEST_NAME:
            rows = [row[:-1] for row in rows]  # a narrow terminal has no room for the places
        for heading in rows[0]:
            table.add_column(heading, justify="right" if heading == "confidence" else "left", overflow="fold")
        names = _fitted([row[0] for row in rows[1:]], console.width - _width_of_others(rows))
        for shown, row in zip(names, rows[1:], strict=True):
            table.add_row(*map(escape, (shown, *row[1:])))
        console.print(table)

    def emit(self, result: FrameResult) -> None:
        """Add the rows of one image."""
        name = encodable(printable(as_utf8(result.frame.name)))
        if not result.faces:
            self._rows.append((name, "", "nobody", "", ""))
        for face in result.faces:
            place = ", ".join(f"{side:.0f}" for side in (face.box.x, face.box.y, face.box.width, face.box.height))
            self._rows.append((name, f"#{face.id}", encodable(face.label), f"{face.confidence:.0%}", place))


def _width_of_others(rows: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that the cells beside the names and the lines between them need."""
    columns = list(zip(*rows, strict=True))
    return sum(max(map(cell_len, cells)) + 3 for cells in columns[1:]) + 4


def _fitted(names: Sequence[str], width: int) -> Sequence[str]:
    """Shorten names to this many columns: in the middle, or elsewhere if two of them would then look the same."""
    width = max(width, _SHORTEST_NAME)
    alike = max(len(os.path.commonprefix(names)) - 1, 0)  # noqa: RUF071 - of letters, not folders
    for start in (0, alike):
        for begin in sorted(range(width), key=lambda begin: abs(begin - width // 2)):
            cut = {name: _cut(name, width, begin, start) for name in names}
            if len(set(cut.values())) == len(cut):
                return [cut[name] for name in names]
    return names


def _cut(name: str, width: int, begin: int, start: int) -> str:
    """A name of at most this many columns: `begin` of them from the letter `start` on, the others from its end."""
    if cell_len(name) <= width:
        return name
    if start:
        return f"…{_cut(name[start:], width - 1, begin, 0)}"
    head = set_cell_size(name, begin)
    end = width - 1 - cell_len(head)
    tail = next(place for place in range(len(name) + 1) if cell_len(name[place:]) <= end)
    return f"{head}…{name[tail:]}"
