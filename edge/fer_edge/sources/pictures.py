"""Still images: one, or a folder of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from fer_edge.errors import SourceError, reason
from fer_edge.images import files_in, pictures_in, read_image, why_undecodable
from fer_edge.picture_formats import picture_kind
from fer_edge.types import Frame

_log = logging.getLogger(__name__)

# Still images have so much time between them that no face is tracked from one to the next.
_SECONDS_PER_PICTURE = 10.0
# At most this many of the other files of a folder are named.
_MOST_NAMED = 5
_HOW_TO_RECURSE = "Subfolders are read with --recursive"


class PictureSource:
    """One image, or a folder of images in order of name."""

    fps = 1 / _SECONDS_PER_PICTURE
    live = False
    stills = True
    hangs = False

    def __init__(self, path: Path, *, recursive: bool = False) -> None:
        """Prepare; `recursive` reads the subfolders of a folder, too."""
        self._path = path
        self._recursive = recursive
        self.skipped = 0
        self._stopped = False
        self.description = str(path)

    def __enter__(self) -> Self:
        self._files = [self._path]
        if self._path.is_dir():
            try:
                self._files = pictures_in(self._path, recursive=self._recursive)
                self._tell_others()
            except OSError as error:
                raise SourceError(f"{self._path}: cannot be listed ({reason(error)})") from error
        if not self._files:
            hint = "" if self._recursive or not self._has_subfolders() else f". {_HOW_TO_RECURSE}"
            raise SourceError(f"{self._path}: holds no images (JPEG, PNG, WebP, BMP, TIFF, HEIC){hint}")
        self.frames: int | None = len(self._files)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _tell_others(self) -> None:
        """Log the folder's other files by name or number, so that nothing is skipped silently."""
        taken = set(self._files)
        there = files_in(self._path, recursive=self._recursive)
        others = [self._name(file) for file in there if file not in taken and file.name[0] != "."]
        if others:
            named = ", ".join(map(repr, others[:_MOST_NAMED]))
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            hint = "" if self._recursive or not self._has_subfolders() else f". {_HOW_TO_RECURSE}"
            _log.warning("%s: skipped, since they are no images: %s%s%s", self._path, named, more, hint)

    def _has_subfolders(self) -> bool:
        return self._path.is_dir() and any(path.is_dir() and path.name[0] != "." for path in self._path.iterdir())

    def _name(self, file: Path) -> str:
        """The name under which a file is shown: below the folder, so that those of subfolders differ."""
        return str(file.relative_to(self._path)) if self._recursive and file != self._path else file.name

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images; in a folder, unreadable ones are skipped and named."""
        for index, file in enumerate(self._files):
            if self._stopped:
                return
            image = read_image(file)
            if image is not None:
                yield Frame(image, index * _SECONDS_PER_PICTURE, index, still=True, name=self._name(file))
                continue
            self.skipped += 1
            if self.skipped == len(self._files):
                raise SourceError(f"{file}: {_why_unreadable(file)}" + (", nor is any other readable" if index else ""))
            _log.warning("%s: %s: skipped", file, _why_unreadable(file))

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True


def _why_unreadable(file: Path) -> str:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    return why_undecodable(picture_kind(file))
