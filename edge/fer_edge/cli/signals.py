"""A clean end: the first SIGINT, SIGTERM or SIGHUP asks for it, a second one ends the process at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

# After this many seconds, whatever still blocks is interrupted, such as a pipe that nobody reads.
_GRACE = 3.0


class StopSignals:
    """Stores that the user asked for the end. Create it before anything slow is imported or opened.

    The handlers take no lock, since they may run while the main thread holds one.
    """

    def __init__(self) -> None:
        self.requested = False
        self._then: Callable[[], None] | None = None
        usual = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # A signal that is ignored, as under nohup or in a shell's background, stays ignored.
        self._numbers = [number for number in usual if signal.getsignal(number) is not signal.SIG_IGN]
        for number in self._numbers:
            signal.signal(number, self._handle)
        signal.signal(signal.SIGALRM, self._break_off)

    def then(self, stop: Callable[[], None]) -> None:
        """Call `stop` when the user asks for the end, or at once if that already happened. It must not take locks."""
        self._then = stop
        if self.requested:
            stop()

    def is_over(self) -> None:
        """The run has ended: nothing needs to be interrupted."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)
        self.requested = True
        signal.setitimer(signal.ITIMER_REAL, _GRACE)
        if self._then:
            self._then()

    def _break_off(self, _number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt
