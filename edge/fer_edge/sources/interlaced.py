"""Notice interlaced video that OpenCV cannot convert: with FFmpeg 8 its frames are what was in memory before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fer_edge.opencv import readable_name

# FFmpeg alone tells of it, in a message that is switched off in this process.
_READ_TWO_FRAMES = """
import sys
import cv2
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
capture.read(), capture.read()
"""
_MESSAGE = b"Cannot convert interlaced to progressive"
_ONLY_ERRORS = "16"
_TIMEOUT_S = 30


def cannot_be_converted(path: Path) -> bool:
    """Whether the frames of a file are interlaced, and OpenCV cannot convert them. It takes a process of its own."""
    try:
        with readable_name(path) as name:
            done = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-c", _READ_TWO_FRAMES, name],
                env={**os.environ, "OPENCV_FFMPEG_LOGLEVEL": _ONLY_ERRORS},
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return _MESSAGE in done.stdout + done.stderr  # by the level, OpenCV writes to one or the other
