"""Measure a peer. It needs only OpenCV, since each peer has its own environment."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2

# Frames before the measurement.
WARM_UP = 10


def read_clip(path: str) -> Iterable[Any]:
    """The frames of a clip, shape (H, W, 3), BGR, uint8."""
    capture = cv2.VideoCapture(path)
    while True:
        read, image = capture.read()
        if not read:
            return
        yield image


def measure(frames: Iterable[Any], finds_face: Callable[[Any], bool], most: int) -> None:
    """Print a JSON object: what at most `most` frames cost, decoding included.

    The first argument of the program is the clip, the second the time at which it was started.
    """
    cv2.setNumThreads(1)
    count = found = 0
    start_up = 0.0
    for image in frames:
        found += finds_face(image)
        count += 1
        if count == 1:
            start_up = time.monotonic() - float(sys.argv[2])
        if count == WARM_UP:
            wall, cpu = time.perf_counter(), time.process_time()
        if count == WARM_UP + most:
            break
    measured = count - WARM_UP
    result = {
        "frames": measured,
        "fps": measured / (time.perf_counter() - wall),
        "cpu_ms": 1000 * (time.process_time() - cpu) / measured,
        "peak_mb": _peak_kb() * 1024 / 1e6,
        "start_up_s": start_up,
        "found": found / count,
    }
    print(json.dumps(result))  # noqa: T201 - for the program that started this one


def _peak_kb() -> int:
    """The peak of the resident memory. `getrusage` would count that of the program that started this one, too."""
    return int(re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[0])
