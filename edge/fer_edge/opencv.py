"""The border to OpenCV: its import errors in words that help."""

from __future__ import annotations

import os

from fer_edge.errors import MissingDependency

_LIBRARIES = {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0", "libglib-2.0.so.0": "libglib2.0-0"}


def require_opencv() -> str:
    """Import OpenCV, quietly, and return its version.

    Raises:
        MissingDependency: it is absent, or a system library that it needs is; names the command that mends it.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2  # noqa: PLC0415 - to catch what its import raises
    except ImportError as error:
        for library, package in _LIBRARIES.items():
            if library in str(error):
                raise MissingDependency(
                    f"OpenCV needs {library}. Mend: sudo apt install {package} (or pip install opencv-python-headless)"
                ) from error
        raise MissingDependency(
            f"OpenCV cannot be imported ({error}). Mend: pip install 'opencv-python>=4.11,<5'"
        ) from error
    return cv2.__version__
