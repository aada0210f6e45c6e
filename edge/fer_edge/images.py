"""Read images from files."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from fer_edge.errors import SourceError
from fer_edge.picture_formats import heif_transformation, is_animated, is_picture, kind_of, orientation, picture_kind
from fer_edge.types import Frame, Image

_log = logging.getLogger(__name__)

_PNG = b"\x89PNG\r\n\x1a\n"


def pictures_in(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Return a folder's images, whatever their names end with, in order of name. Raises OSError."""
    return [file for file in files_in(folder, recursive=recursive) if is_picture(file)]


def files_in(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Return what a folder holds, in order of name; if `recursive`, the files of its subfolders in place of them.

    Hidden subfolders, such as those of thumbnails, and links to folders are left out.

    Raises:
        OSError: the folder cannot be listed.
    """
    if not recursive:
        return sorted(folder.iterdir())
    folder.stat()
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files]
    return sorted(found)


def read_image(path: Path, *, grey: bool = False) -> Image | None:
    """Return an image, shape (H, W, 3) BGR or (H, W) grey, uint8; None if the file is no readable image."""
    try:
        return decode_image(path.read_bytes(), str(path), grey=grey)
    except OSError:
        return None


def decode_image(content: bytes, name: str, *, grey: bool = False) -> Image | None:
    """Return the image in the content of the file `name`, as `read_image` does."""
    if is_animated(content):
        _log.warning("%s: is animated; only its first picture is read", name)
    try:
        if kind_of(content[:32]) == "heif" and (found := _read_heif(content, grey=grey)) is not None:
            return found
        if not _chunks_fit(content):
            return None
        colours = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
        image = cv2.imdecode(np.frombuffer(content, np.uint8), colours | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # empty, or larger than OpenCV will hold
        return None
    # OpenCV rotates TIFF files itself, whatever the flag says.
    return None if image is None else _upright(np.asarray(image, np.uint8), orientation(content))


def has_heif() -> bool:
    """Whether HEIC and AVIF images can be read."""
    return find_spec("pillow_heif") is not None


def why_undecodable(kind: str | None) -> str:
    """Why an image cannot be read, and how to fix it, by its format as `picture_kind` names it."""
    if kind == "heif" and not has_heif():
        return "HEIC and AVIF need the package pillow-heif. Fix: pip install '.[heif]'"
    return "is not a readable image"


def _read_heif(content: bytes, *, grey: bool) -> Image | None:
    """Read a HEIC or AVIF image; None if it is damaged or the library is missing, or has no decoder for AVIF."""
    if not has_heif():
        return None
    from pillow_heif import open_heif  # noqa: PLC0415 - few need it

    try:
        picture = np.asarray(open_heif(content, convert_hdr_to_8bit=True, bgr_mode=True), np.uint8)
    except (ValueError, RuntimeError, EOFError, OSError):
        return None
    # The library applies what the file says about its orientation, but not EXIF data.
    turn = 1 if heif_transformation(content) else orientation(content)
    if picture.ndim == 2:
        picture = picture[:, :, np.newaxis]
    if picture.shape[2] < 3:  # grey, perhaps with transparency
        image = picture[:, :, 0] if grey else cv2.cvtColor(picture[:, :, 0], cv2.COLOR_GRAY2BGR)
    else:
        image = cv2.cvtColor(picture[:, :, :3], cv2.COLOR_BGR2GRAY) if grey else picture[:, :, :3]
    return _upright(np.ascontiguousarray(image, np.uint8), turn)


def _upright(image: Image, orientation: int) -> Image:
    """Turn an image upright by its EXIF orientation, 1 to 8."""
    mirrored = flipped(image, left_right=orientation in {2, 4, 5, 7}, above_below=False)
    return turned(mirrored, {3: 180, 4: 180, 5: 270, 6: 90, 7: 90, 8: 270}.get(orientation, 0))


def load_frame(path: str | Path) -> Frame:
    """Read one image as a still frame: shape (H, W, 3), BGR, uint8. Raises SourceError if it cannot be read."""
    image = read_image(Path(path))
    if image is None:
        why = why_undecodable(picture_kind(Path(path))) if Path(path).exists() else "no such file"
        raise SourceError(f"{path}: {why}")
    return Frame(image, still=True, name=Path(path).name)


def _chunks_fit(content: bytes) -> bool:
    """False for a PNG whose chunks claim more bytes than the file has: OpenCV would allocate them, up to 4 GB."""
    place = len(_PNG)
    if not content.startswith(_PNG):
        return True
    while place < len(content) and content[place + 4 : place + 8] != b"IEND":
        place += 12 + int.from_bytes(content[place : place + 4], "big")
    return place < len(content)


def turned(image: Image, degrees: int) -> Image:
    """Rotate an image clockwise by 0, 90, 180 or 270 degrees."""
    codes = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return np.asarray(cv2.rotate(image, codes[degrees]), np.uint8) if degrees else image


def flipped(image: Image, *, left_right: bool, above_below: bool) -> Image:
    """Flip an image left to right, top to bottom, or both."""
    if not left_right and not above_below:
        return image
    code = -1 if left_right and above_below else int(left_right)  # OpenCV: 1 is left and right, 0 above and below
    return np.asarray(cv2.flip(image, code), np.uint8)
