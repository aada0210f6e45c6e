"""Base of live sources: a thread reads frames, the newest is used, and a lost or hanging camera is reopened."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from fer_edge.errors import SourceError
from fer_edge.sources import Observer
from fer_edge.sources.capture import Capture, Shot, Timeouts
from fer_edge.sources.frame_health import FrameHealthMonitor
from fer_edge.sources.log_limiter import LogRateLimiter
from fer_edge.types import Frame

_log = logging.getLogger(__name__)

# Waiting threads check the state every so many seconds.
_POLL = 0.2


class LiveSource:
    """A camera that is read as fast as it delivers; the iterator yields the newest frame.

    A lost camera is logged once, and opened again after increasing pauses. A reader that hangs in its driver cannot be
    stopped. It is abandoned, and another reader opens the camera again. The first one that delivers is used.
    """

    frames: int | None = None
    live = True
    stills = False
    skipped = 0

    def __init__(
        self,
        description: str,
        open_capture: Callable[[], Capture | None],
        *,
        fps: float,
        wait: bool = False,
        observer: Observer | None = None,
        explain: Callable[[], str] = str,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Prepare.

        Args:
            description: description for people.
            open_capture: opens the camera; returns None if it is missing or delivers no frame. It raises SourceError
                if the camera does not support the configuration, so that waiting is useless.
            fps: frames per second of a camera that does not report them.
            wait: wait for a camera that is missing at the start, instead of raising.
            observer: gets the state of the camera.
            explain: returns why the camera cannot be opened, or an empty string. It may take seconds.
            timeouts: how long to wait for the camera.
        """
        self.description = description
        self.fps = fps
        self.hangs = False
        self._open_capture = open_capture
        self._wait = wait
        self._observer = observer
        self._explain = explain
        self._timeouts = timeouts or Timeouts()
        self._health = FrameHealthMonitor(description, observer)
        self._fresh = threading.Condition()
        self._newest: Frame | None = None
        self._count = 0
        self._stopped = False
        self._refusal: SourceError | None = None
        # This says what is wrong while there are no frames.
        self._missing = ""
        self._is_said = False
        self._log_limiter = LogRateLimiter()
        self._patience = self._timeouts.hang
        self._hung_at: float | None = None
        self._reader: _Reader
        self._left_behind: list[_Reader] = []

    def __enter__(self) -> Self:
        """Open the camera. Raises SourceError if it delivers no frame, unless `wait` is set."""
        self._start_reader(self._timeouts.first_pause)
        while not self._wait and self._newest is None:
            with self._fresh:
                self._fresh.wait(_POLL)
            self._raise_refusal()
            if self._reader.refused or self._reader.silent_for() > self._timeouts.hang:
                self.stop()
                why = self._explain()
                raise SourceError(
                    f"{self.description} cannot be opened: {why}"
                    if why
                    else f"{self.description} cannot be opened or delivers no frame. "
                    "Is it connected, and not used by another program?"
                )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._reader.thread.join(self._timeouts.end)
        self.hangs = any(reader.thread.is_alive() for reader in (self._reader, *self._left_behind))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame, never the same twice; wait while the camera is lost.

        Raises:
            SourceError: the camera hangs and cannot be opened again, or does not support the configuration.
        """
        last: Frame | None = None
        while not self._stopped:
            with self._fresh:
                if self._newest is last:
                    self._fresh.wait(_POLL)
                frame = self._newest
            if frame is not None and frame is not last:
                last = frame
                yield frame
            else:
                self._look_after()

    def stop(self) -> None:
        """End the iteration and the reader."""
        self._stopped = True

    def open(self, reader: _Reader) -> Capture | None:
        """Open the camera for a reader."""
        try:
            capture = self._open_capture()
        except SourceError as refusal:
            self._refusal = refusal
            return None
        if capture is None:
            self._miss(reader)
            if not any(other.thread.is_alive() for other in self._left_behind if other is not reader):
                self._hung_at = None  # it is slow, but it responds
        else:
            self.fps = capture.fps or self.fps
        return capture

    def publish(self, reader: _Reader, shot: Shot | None) -> bool:
        """Take a frame of a reader, or None for its loss. Returns whether the reader should continue."""
        if shot is None:
            self._miss(reader)
            return False
        now = time.monotonic()
        with self._fresh:
            if self._stopped or (reader is not self._reader and not self._missing):
                return False
            self._reader = reader  # an abandoned reader may be the first that delivers
            self._newest = Frame(shot.image, shot.taken_at or now, self._count, live=True, small=shot.small)
            self._count += 1
            self.skipped += shot.skipped
            self._hung_at, self._patience = None, self._timeouts.hang
            self._missing = ""
            was_said, self._is_said = self._is_said, False
            self._fresh.notify_all()
        if was_said:
            _log.warning("%s is back", self.description)
        self._health.look(shot.image, now)
        return True

    def is_current(self, reader: _Reader) -> bool:
        """Whether a reader should continue."""
        return not self._stopped and (reader is self._reader) and (self._wait or self._newest is not None)

    def _raise_refusal(self) -> None:
        if self._refusal:
            self.stop()
            raise self._refusal

    def _start_reader(self, pause: float) -> None:
        self._reader = _Reader(self, self._timeouts, pause)
        self._reader.thread.start()

    def _miss(self, reader: _Reader) -> None:
        if self.is_current(reader) and not self._missing:
            why = "" if self._newest else self._explain()
            self._missing = f"is {'lost' if self._newest else 'not there'}, waiting for it{f': {why}' if why else ''}"
            self._complain()

    def _complain(self) -> None:
        """Log what is wrong once; less often for a camera that is lost again and again."""
        with self._fresh:
            if self._missing and not self._is_said and self._log_limiter.allows(time.monotonic()):
                self._is_said = True
                _log.warning("%s %s", self.description, self._missing)

    def _look_after(self) -> None:
        """Replace a reader that hangs, and tell the observer that there is no frame."""
        self._raise_refusal()
        now = time.monotonic()
        with self._fresh:  # the current reader must not change meanwhile
            if self._reader.silent_for() > self._patience:
                self._missing = self._missing or "hangs: opening it again"
                self._hung_at = self._hung_at or now
                self._patience = min(2 * self._patience, self._timeouts.longest_hang)
                self._left_behind = [reader for reader in self._left_behind if reader.thread.is_alive()]
                self._left_behind.append(self._reader)
                self._start_reader(self._reader.pause)
        self._complain()
        hung_at = self._hung_at
        if hung_at is not None and now - hung_at > self._timeouts.hopeless:
            raise SourceError(f"{self.description} hangs and this process cannot open it again. Restart fer-edge")
        if self._missing and self._observer:
            self._observer.waiting(self.description)


class _Reader:
    """A thread that opens and reads the camera repeatedly, until its source stops it."""

    def __init__(self, source: LiveSource, timeouts: Timeouts, pause: float) -> None:
        self.pause = pause
        self._timeouts = timeouts
        self.refused = False
        self._source = source
        self._alive_at = time.monotonic()
        self.thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def silent_for(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._alive_at

    def _run(self) -> None:
        while True:
            capture = self._source.open(self)
            self._alive_at = time.monotonic()
            if capture is not None:
                self._read(capture)
            if not self._source.is_current(self):
                self.refused = True
                return
            self._rest()

    def _read(self, capture: Capture) -> None:
        started_at = time.monotonic()
        while self._source.publish(self, capture.read()):
            self._alive_at = time.monotonic()
        capture.release()
        self._alive_at = time.monotonic()
        if self._alive_at - started_at > self._timeouts.steady:
            self.pause = self._timeouts.first_pause

    def _rest(self) -> None:
        end = time.monotonic() + self.pause
        self.pause = min(2 * self.pause, self._timeouts.longest_pause)
        while self._source.is_current(self) and time.monotonic() < end:
            time.sleep(_POLL)
            self._alive_at = time.monotonic()
