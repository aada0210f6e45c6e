"""Encode the image for viewers: once for all of them, in its own thread, only while somebody watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from fer_edge.sinks.blur import FaceBlur
from fer_edge.sinks.overlay import draw
from fer_edge.types import FrameResult

PictureKind = Literal["annotated", "blurred", "boxes", "none"]

BOUNDARY = "frame"
_QUALITY = 80
# A viewer counts as watching for this many seconds after the last request.
_WATCHING = 2.0


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded image for all viewers.

    Attributes:
        number: counts from 1; 0 if there is none yet.
        jpeg: the JPEG file.
        part: the JPEG file as a part of a multipart stream.
    """

    number: int = 0
    jpeg: bytes = b""
    part: bytes = b""


class PictureEncoder:
    """Turns the newest result into a JPEG file, at most `fps` times per second."""

    def __init__(self, kind: PictureKind, fps: float, *, score: bool = False) -> None:
        self._score = score
        self._kind = kind
        self._pause = 1 / fps
        self._blur = FaceBlur()
        self._lock = threading.Condition()
        self._newest: FrameResult | None = None
        self._picture = Picture()
        self._watched_until = 0.0
        self._is_over = False
        # This is called in the encoder's thread for each new image.
        self.on_picture: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._work, name="web picture", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._is_over = True
            self._lock.notify_all()
        self._thread.join(timeout=2)

    def put(self, result: FrameResult) -> None:
        """Take the newest result. While nobody watches, this costs almost nothing."""
        if self._kind == "blurred":
            result = self._blur.apply(result)  # on every frame, so that faces stay hidden in gaps
        with self._lock:
            self._newest = result
            if time.monotonic() < self._watched_until:
                self._lock.notify_all()

    def latest(self) -> Picture:
        """The newest image. Calling this counts as watching."""
        with self._lock:
            now = time.monotonic()
            if now >= self._watched_until:
                self._lock.notify_all()
            self._watched_until = now + _WATCHING
            return self._picture

    def _work(self) -> None:
        last: FrameResult | None = None
        while True:
            with self._lock:
                while not self._is_over and (self._newest is last or time.monotonic() >= self._watched_until):
                    self._lock.wait(0.5)
                if self._is_over:
                    return
                last = self._newest
            began = time.monotonic()
            if last is not None:
                jpeg = self._encode(last)
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                with self._lock:
                    self._picture = Picture(self._picture.number + 1, jpeg, head + jpeg + b"\r\n")
                self.on_picture()
            time.sleep(max(self._pause - (time.monotonic() - began), 0))

    def _encode(self, result: FrameResult) -> bytes:
        if self._kind == "boxes":
            result = replace(result, frame=replace(result.frame, image=np.zeros_like(result.frame.image), small=None))
        with suppress(cv2.error):
            picture = draw(result, score=self._score)
            written, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            if written:
                return content.tobytes()
        return b""
