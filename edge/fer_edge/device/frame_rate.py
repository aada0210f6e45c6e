"""Limit the frames per second, to save power."""

from __future__ import annotations

# In power-save mode, this many frames per second are processed while nobody is there.
_IDLE_FPS = 2.0
# The power-save rate begins after this many seconds without a face.
_IDLE_AFTER = 5.0


class FrameRateLimiter:
    """Decides how long to wait between frames, so that not too many are processed."""

    def __init__(self, max_fps: float | None, power_save: bool) -> None:
        self._shortest = 1 / max_fps if max_fps else 0.0
        self._power_save = power_save
        self._due = 0.0
        self._somebody_at: float | None = None

    def pause(self, now: float, *, nobody: bool) -> float:
        """Seconds from `now`, when a frame is done, until the next may be processed."""
        if self._somebody_at is None or not nobody:
            self._somebody_at = now
        rests = self._power_save and now - self._somebody_at >= _IDLE_AFTER
        interval = max(self._shortest, 1 / _IDLE_FPS) if rests else self._shortest
        self._due = max(self._due + interval, now)  # a delay is not made up for
        return self._due - now
