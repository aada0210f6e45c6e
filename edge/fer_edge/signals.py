"""A polite end: the first SIGINT, SIGTERM or SIGHUP asks for it, a second one of the kind takes the default way."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType


class StopSignals:
    """Remembers that the end was asked for. To be made before anything slow is imported or opened.

    The handler takes no lock, since it may run while the main thread holds one.
    """

    def __init__(self) -> None:
        self.requested = False
        self._then: Callable[[], None] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup, or in a shell's background, it stays so
                signal.signal(number, self._handle)

    def then(self, stop: Callable[[], None]) -> None:
        """Call `stop` when the end is asked for; at once if it was already. It must not take locks."""
        self._then = stop
        if self.requested:
            stop()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.requested = True
        if self._then:
            self._then()
