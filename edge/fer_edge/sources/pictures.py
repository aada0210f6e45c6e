"""Still images: one, or a folder of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from fer_edge.errors import SourceError, reason
from fer_edge.images import has_heif, pictures_in, read_image
from fer_edge.picture_formats import picture_kind
from fer_edge.types import Frame

_log = logging.getLogger(__name__)

# Still images have so much time between them that no face is tracked from one to the next.
_SECONDS_PER_PICTURE = 10.0
# At most this many of the other files of a folder are named.
_MOST_NAMED = 5


class PictureSource:
    """One image, or a folder of images in order of name."""

    fps = 1 / _SECONDS_PER_PICTURE
    live = False
    stills = True
    hangs = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = False
        self.description = str(path)

    def __enter__(self) -> Self:
        self._files = [self._path]
        if self._path.is_dir():
            try:
                self._files = pictures_in(self._path)
                self._tell_others()
            except OSError as error:
                raise SourceError(f"{self._path}: cannot be listed ({reason(error)})") from error
        if not self._files:
            raise SourceError(f"{self._path}: holds no images (JPEG, PNG, WebP, BMP, TIFF, HEIC)")
        self.frames: int | None = len(self._files)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _tell_others(self) -> None:
        """Log the folder's other files by name or number, so that nothing is skipped silently."""
        taken = set(self._files)
        others = sorted(path.name for path in self._path.iterdir() if path not in taken and path.name[0] != ".")
        if others:
            named = ", ".join(map(repr, others[:_MOST_NAMED]))
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            _log.warning("%s: skipped, since they are no images: %s%s", self._path, named, more)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images; in a folder, unreadable ones are skipped and named."""
        unreadable = 0
        for index, file in enumerate(self._files):
            if self._stopped:
                return
            image = read_image(file)
            if image is not None:
                yield Frame(image, index * _SECONDS_PER_PICTURE, index, still=True, name=file.name)
                continue
            unreadable += 1
            if unreadable == len(self._files):
                raise SourceError(f"{file}: {_why_unreadable(file)}" + (", nor is any other readable" if index else ""))
            _log.warning("%s: %s: skipped", file, _why_unreadable(file))

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True


def _why_unreadable(file: Path) -> str:
    if picture_kind(file) == "heif" and not has_heif():
        return "HEIC and AVIF need the package pillow-heif. Fix: pip install '.[heif]'"
    return "is not a readable image"
