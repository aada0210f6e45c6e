"""How many frames a second are worth the current."""

from __future__ import annotations

import time

_IDLE_FPS = 2.0
"""Frames a second while nobody is there, in power-save mode."""
_IDLE_AFTER = 5.0
"""Seconds without anybody after which that begins."""


class Pace:
    """Waits between frames, so that no more are taken than wanted."""

    def __init__(self, max_fps: float | None, power_save: bool) -> None:
        self._shortest = 1 / max_fps if max_fps else 0.0
        self._power_save = power_save
        self._due = self._somebody_at = time.monotonic()

    def wait(self, *, nobody: bool) -> None:
        """Wait until the next frame may be taken."""
        now = time.monotonic()
        if not nobody:
            self._somebody_at = now
        rests = self._power_save and now - self._somebody_at >= _IDLE_AFTER
        interval = max(self._shortest, 1 / _IDLE_FPS) if rests else self._shortest
        self._due = max(self._due + interval, now)  # a delay is not caught up
        time.sleep(self._due - now)
