"""The picture for viewers: encoded once for all of them, in a thread of its own, only while somebody watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np

from fer_edge.sinks.blur import FaceBlur
from fer_edge.sinks.overlay import draw
from fer_edge.types import FrameResult

PictureKind = Literal["annotated", "blurred", "boxes", "none"]

_QUALITY = 80
# Seconds after its last request for which a viewer counts as watching.
_WATCHING = 2.0


class PictureEncoder:
    """Turns the newest result into a JPEG file, at most `fps` times per second."""

    def __init__(self, kind: PictureKind, fps: float, *, score: bool = False) -> None:
        self._score = score
        self._kind = kind
        self._pause = 1 / fps
        self._blur = FaceBlur()
        self._lock = threading.Condition()
        self._newest: FrameResult | None = None
        self._jpeg, self._number = b"", 0
        self._watched_until = 0.0
        self._is_over = False
        # Called in the encoder's thread for each new picture.
        self.on_picture: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._work, name="web picture", daemon=True)

    def start(self) -> None:
        """Begin to encode what is asked for."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._is_over = True
            self._lock.notify_all()
        self._thread.join(timeout=2)

    def put(self, result: FrameResult) -> None:
        """Take the newest result; costs next to nothing while nobody watches."""
        if self._kind == "blurred":
            result = self._blur.apply(result)  # of every frame: it keeps faces hidden over gaps
        with self._lock:
            self._newest = result
            if time.monotonic() < self._watched_until:
                self._lock.notify_all()

    def latest(self) -> tuple[int, bytes]:
        """The newest picture's number, from 1, and its JPEG bytes; 0 and none before the first. Counts as watching."""
        with self._lock:
            self._watched_until = time.monotonic() + _WATCHING
            self._lock.notify_all()
            return self._number, self._jpeg

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
                with self._lock:
                    self._jpeg, self._number = jpeg, self._number + 1
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
