"""Import OpenCV, with error messages that say how to fix a missing package or library."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fer_edge.errors import MissingDependency


def require_opencv() -> str:
    """Import OpenCV and return its version.

    Raises:
        MissingDependency: OpenCV or a system library is missing. The message names the command that installs it.
    """
    try:
        import cv2  # noqa: PLC0415 - to catch what its import raises
    except ImportError as error:
        library = re.match(r"(\S+\.so[.\d]*): cannot open shared object", str(error))
        if library:  # libXCB, libGL or libglib: the same packages install them all
            raise MissingDependency(f"OpenCV needs {library[1]}. Fix: sudo apt install libgl1 libglib2.0-0") from error
        raise MissingDependency(
            f"OpenCV cannot be imported ({error}). Fix: pip install 'opencv-python>=4.11,<5'"
        ) from error
    return cv2.__version__


def set_threads(count: int) -> None:
    """Set the number of OpenCV's threads. Raises MissingDependency."""
    require_opencv()
    import cv2  # noqa: PLC0415

    cv2.setNumThreads(count)


@contextmanager
def readable_name(path: Path) -> Iterator[str]:
    """Give the name by which OpenCV can open a file: it takes every name for UTF-8, whatever the locale.

    The name is valid in other processes of this user as well.

    Raises:
        OSError: a file whose name must be replaced cannot be opened.
    """
    if _is_utf8(path):
        yield str(path.absolute())
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextmanager
def file_in_memory(content: bytes) -> Iterator[str]:
    """Give a name by which OpenCV can open content that is in no file. Raises OSError."""
    descriptor = os.memfd_create("content")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextmanager
def writable_name(path: Path) -> Iterator[str]:
    """The same for a file that OpenCV is to make, which needs its suffix. Raises OSError."""
    if _is_utf8(path):
        yield str(path.absolute())
        return
    with TemporaryDirectory() as folder:
        link = Path(folder, f"link{path.suffix}")
        link.symlink_to(path.absolute())
        yield str(link)


def _is_utf8(path: Path) -> bool:
    try:
        return str(path.absolute()).encode() == os.fsencode(path.absolute())
    except UnicodeEncodeError:
        return False
