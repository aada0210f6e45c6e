"""Still pictures: one, or a folder of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from fer_edge.errors import SourceError, reason
from fer_edge.images import IMAGE_SUFFIXES, pictures_in, read_image
from fer_edge.types import Frame

_log = logging.getLogger(__name__)

# Still pictures are so far apart in time that no face is followed from one to the next.
_SECONDS_PER_PICTURE = 10.0


class PictureSource:
    """One picture, or a folder of them in order of name."""

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
            except OSError as error:
                raise SourceError(f"{self._path}: cannot be listed ({reason(error)})") from error
        if not self._files:
            raise SourceError(f"{self._path}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self.frames: int | None = len(self._files)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures; in a folder, one that cannot be read is skipped and named."""
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
                raise SourceError(f"{file}: is not a readable image" + (", nor is any other" if index else ""))
            _log.warning("%s: is not a readable image: skipped", file)

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True
