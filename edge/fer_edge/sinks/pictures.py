"""What becomes of still pictures: annotated copies, and a table of what was seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import cv2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fer_edge.errors import ConfigError, reason
from fer_edge.sinks import Sink
from fer_edge.sinks.overlay import draw
from fer_edge.terminal import printable
from fer_edge.types import FrameResult

# Pixels of height up to which a small picture is enlarged, so that its text can be read.
_LOWEST = 480
# Pixels of width up to which it is: a strip that is two pixels high would take gigabytes.
_WIDEST = 4 * _LOWEST


class AnnotatedPictures(Sink):
    """Writes a copy of each picture into a folder, as NAME.annotated.jpg: no picture of that folder is replaced."""

    def __init__(self, folder: Path, *, score: bool = False) -> None:
        self._folder = folder
        self._score = score
        self.description = str(folder)

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise ConfigError(f"'{self._folder}': cannot be made ({reason(error)})") from error
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def emit(self, result: FrameResult) -> None:
        """Write one, aside at first. Raises OSError where it cannot be written."""
        frame = result.frame
        height, width = frame.image.shape[:2]
        size = None if height >= _LOWEST else (max(width, _WIDEST), _LOWEST)
        name = Path(frame.name)
        aside = self._folder / f".part.{name}"
        try:
            written, content = cv2.imencode(name.suffix, draw(result, size, score=self._score))
            if not written:
                raise OSError(f"OpenCV cannot write {name.suffix}")
            aside.write_bytes(content.tobytes())  # OpenCV itself takes only names that are UTF-8
            aside.replace(self._folder / f"{name.stem}.annotated{name.suffix}")
        finally:
            aside.unlink(missing_ok=True)


class PictureTable(Sink):
    """Prints a row per face on standard output, when all pictures are done."""

    description = "the table"

    def __init__(self) -> None:
        self._table = Table()
        for heading in ("picture", "face", "expression", "confidence", "x, y, width, height"):
            self._table.add_column(heading, justify="right" if heading == "confidence" else "left")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._table.row_count:
            Console().print(self._table)

    def emit(self, result: FrameResult) -> None:
        """Take a picture's rows."""
        name = escape(printable(os.fsencode(result.frame.name).decode(errors="replace")))
        if not result.faces:
            self._table.add_row(name, "", "nobody", "", "")
        for face in result.faces:
            box = face.track.box
            place = ", ".join(f"{side:.0f}" for side in (box.x, box.y, box.width, box.height))
            label, confidence = escape(face.smoothed.label), f"{face.smoothed.confidence:.0%}"
            self._table.add_row(name, f"#{face.track.id}", label, confidence, place)
