"""Cameras and network streams through OpenCV: the newest frame is handed over, late ones are dropped."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.config import CameraConfig
from fer_edge.errors import SourceError
from fer_edge.types import Frame

_log = logging.getLogger(__name__)

_OPEN_TIMEOUT_MS = 5000
_READ_TIMEOUT_MS = 3000
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
"""Seconds between attempts to open a camera that is gone: doubled each time."""
_STEADY = 10.0
"""Seconds of frames after which a camera that vanishes is tried at once again."""
_POLL = 0.2
"""Seconds after which a waiting reader looks whether it was stopped."""


class CameraSource:
    """A camera by number or device path, or an rtsp:// or http:// stream.

    A thread reads as fast as the camera delivers; the iterator yields the newest frame. When the camera vanishes, it is
    said once and opened again, with longer and longer pauses.
    """

    frames: int | None = None

    def __init__(self, name: str, config: CameraConfig) -> None:
        self._name = name
        self._config = config
        self._newest: Frame | None = None
        self._fresh = threading.Condition()
        self._stopped = False
        self._opened_at = 0.0
        self._pause = _FIRST_PAUSE
        self.fps = config.fps
        self.description = _without_password(name) if "://" in name else f"camera {name}"

    def __enter__(self) -> Self:
        capture = self._open()
        if capture is None:
            raise SourceError(
                f"{self.description} cannot be opened or gives no picture. Is it connected, and not in use elsewhere?"
            )
        self.fps = capture.get(cv2.CAP_PROP_FPS) or self._config.fps
        self._thread = threading.Thread(target=self._read, args=(capture,), name="camera", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(timeout=_READ_TIMEOUT_MS / 1000)

    def __iter__(self) -> Iterator[Frame]:
        """Yield each time the newest frame, never the same twice; wait while the camera is gone."""
        last: Frame | None = None
        while not self._stopped:
            with self._fresh:
                if self._newest is last:
                    self._fresh.wait(_POLL)
                frame = self._newest
            if frame is not None and frame is not last:
                last = frame
                yield frame

    def stop(self) -> None:
        """End the iteration and the thread."""
        self._stopped = True

    def _read(self, capture: cv2.VideoCapture) -> None:
        index = 0
        while not self._stopped:
            read, image = capture.read()
            if read:
                self._publish(Frame(np.asarray(image, np.uint8), time.monotonic(), index))
                index += 1
                continue
            capture.release()
            reopened = self._reopen()
            if reopened is None:
                return
            capture = reopened
        capture.release()

    def _publish(self, frame: Frame) -> None:
        with self._fresh:
            self._newest = frame
            self._fresh.notify_all()

    def _reopen(self) -> cv2.VideoCapture | None:
        """Try until the camera answers; None when stopped meanwhile."""
        if self._stopped:
            return None
        _log.warning("%s is gone: waiting for it", self.description)
        if time.monotonic() - self._opened_at > _STEADY:
            self._pause = _FIRST_PAUSE
        while not self._stopped_within(self._pause):
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            capture = self._open()
            if capture is not None:
                _log.warning("%s is back", self.description)
                return capture
        return None

    def _stopped_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._stopped and time.monotonic() < end:
            time.sleep(_POLL)
        return self._stopped

    def _open(self) -> cv2.VideoCapture | None:
        capture = _open_stream(self._name) if "://" in self._name else _open_device(self._name, self._config)
        if _delivers(capture):
            self._opened_at = time.monotonic()
            return capture
        capture.release()
        return None


def find_camera() -> str | None:
    """Return the first video device that delivers a picture; a Raspberry Pi has many that are no cameras."""
    devices = sorted(Path("/dev").glob("video*"), key=lambda path: (len(path.name), path.name))
    for device in devices:
        capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
        delivers = _delivers(capture)
        capture.release()
        if delivers:
            return str(device)
    return None


def _delivers(capture: cv2.VideoCapture) -> bool:
    """Whether it gives a picture: some devices open and never do."""
    return bool(capture.isOpened() and capture.read()[0])


def _open_device(name: str, config: CameraConfig) -> cv2.VideoCapture:
    device = f"/dev/video{name}" if name.isdecimal() else name
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
    capture.set(cv2.CAP_PROP_FPS, config.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _open_stream(url: str) -> cv2.VideoCapture:
    timeouts = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        _OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _READ_TIMEOUT_MS,
    ]
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)


def _without_password(url: str) -> str:
    address, question, _ = url.partition("?")
    return re.sub(r"//.*@", "//", address) + ("?…" if question else "")
