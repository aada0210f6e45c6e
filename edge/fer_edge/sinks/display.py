"""The screen. Its own process draws, so that a slow or broken display never stops recognition."""

from __future__ import annotations

import logging
import mmap
import os
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing.connection import Pipe
from typing import Literal, Self

import numpy as np

from fer_edge.config import ScreenConfig
from fer_edge.errors import MissingExtra
from fer_edge.sinks import Sink, StopRun
from fer_edge.types import FrameResult

_log = logging.getLogger(__name__)

# A missing screen is tried again every so many seconds.
_PAUSE = 5.0
# The frame rate is measured over this many frames.
_FPS_OVER = 30
_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


class Display(Sink):
    """Shows annotated frames in a window or on the whole screen, at the screen's own pace.

    The window's process requests a frame when it has shown the last one; other frames are not shown. The image is
    passed in shared memory, the rest through a pipe that never blocks.
    """

    description = "the screen"

    def __init__(self, kind: Literal["window", "hdmi"], config: ScreenConfig, *, score: bool = False) -> None:
        """Raise MissingExtra if pygame-ce is not installed."""
        if find_spec("pygame") is None:
            raise MissingExtra("pygame-ce", "display")
        self._kind = kind
        self._config = config
        self._score = score
        self._times: deque[float] = deque(maxlen=_FPS_OVER)
        self._process: subprocess.Popen[bytes] | None = None
        self._retry_at = 0.0

    def __enter__(self) -> Self:
        self._memory = os.memfd_create("fer-edge-frame")
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pipe, which ends the window's process."""
        if self._process:
            self._pipe.close()
            try:
                self._process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        os.close(self._memory)

    def emit(self, result: FrameResult) -> None:
        """Pass the frame on if the screen is ready for it. Raises StopRun when the user ended the run there."""
        self._times.append(time.monotonic())
        try:
            if self._is_ready():
                self._hand_over(result)
        except (EOFError, OSError):
            if self._was_ended():
                raise StopRun from None
            self._lose("it went away")

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        command = [sys.executable, "-m", "fer_edge.sinks.window", str(theirs.fileno()), str(self._memory), self._kind]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, self._config.model_dump_json(), *(["score"] if self._score else [])],
            pass_fds=(theirs.fileno(), self._memory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # SDL's drivers talk there
        )
        theirs.close()

    def _is_ready(self) -> bool:
        """Whether the window requested a frame; start it again if that is due."""
        if self._process is None:
            if time.monotonic() >= self._retry_at:
                self._start()
            return False
        ready = False
        while self._pipe.poll(0):
            message: str = self._pipe.recv()
            if message == "end":
                raise StopRun
            if message == "ready":
                ready = True
            else:
                self._lose(message)
                return False
        if ready and self.trouble:
            _log.warning("the screen is back")
            self.trouble = ""
        return ready

    def _was_ended(self) -> bool:
        """Whether the user ended the run just before the window's process went away."""
        with suppress(EOFError, OSError):
            while self._pipe.poll(0):
                if self._pipe.recv() == "end":
                    return True
        return False

    def _hand_over(self, result: FrameResult) -> None:
        image = np.ascontiguousarray(result.frame.image)
        os.ftruncate(self._memory, image.nbytes)
        with mmap.mmap(self._memory, image.nbytes) as memory:
            memory[:] = image.tobytes()
        bare = replace(result, frame=replace(result.frame, image=_NO_PICTURE))
        self._pipe.send((image.shape, bare, self._status(result)))

    def _status(self, result: FrameResult) -> str:
        """Processed frames per second, and latency in milliseconds."""
        spent = self._times[-1] - self._times[0]
        fps = (len(self._times) - 1) / spent if spent else 0.0
        latency = sum(result.timings_ms.values())
        if result.frame.live:
            latency = 1000 * (time.monotonic() - result.frame.captured_at)
        return f"{fps:.0f} fps  {latency:.0f} ms"

    def _lose(self, why: str) -> None:
        if self._process:
            self._pipe.close()
            self._process.kill()
            self._process.wait()
        self._process = None
        self._retry_at = time.monotonic() + _PAUSE
        if not self.trouble:
            _log.warning("no screen for --display %s (%s): recognition continues without it", self._kind, why)
        self.trouble = why
