"""What comes and goes all day must not fill a log: it is said the first times, then less and less often."""

from __future__ import annotations

# Seconds for which nothing more is said after the first time: doubled each time.
_FIRST_PAUSE = 5.0
# Seconds at which that ends; once nothing has happened for as long, it begins anew.
_LONGEST_PAUSE = 3600.0


class LogRateLimiter:
    """Decides whether something that happens again and again is said once more."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._said_at = self._asked_at = float("-inf")

    def allows(self, now: float) -> bool:
        """Whether to say it at `now`, in seconds."""
        if now - self._asked_at > _LONGEST_PAUSE:
            self._pause = 0.0
        self._asked_at = now
        if now - self._said_at < self._pause:
            return False
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._said_at = now
        return True
