"""Limit repeated log messages: the first ones are logged, then fewer and fewer."""

from __future__ import annotations

# After the first message nothing is logged for this many seconds; the pause is doubled each time.
_FIRST_PAUSE = 5.0
# The pause grows up to this many seconds. After as long without a message it starts again.
_LONGEST_PAUSE = 3600.0


class LogRateLimiter:
    """Decides whether a repeated message is logged."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._said_at = self._asked_at = float("-inf")

    def allows(self, now: float) -> bool:
        """Whether to log it at `now`, in seconds."""
        if now - self._asked_at > _LONGEST_PAUSE:
            self._pause = 0.0
        self._asked_at = now
        if now - self._said_at < self._pause:
            return False
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._said_at = now
        return True
