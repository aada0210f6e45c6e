"""A sink whose faults do not stop the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fer_edge.errors import reason
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult

_log = logging.getLogger(__name__)


class FaultTolerantSink(Sink):
    """Logs a failure once, shows it as the sink's trouble, counts lost frames, and continues."""

    def __init__(self, sink: Sink, lost: dict[str, int]) -> None:
        """Wrap a sink; `lost` counts frames by the sink's description."""
        self.description = sink.description
        self._sink = sink
        self._lost = lost
        self._failing = False

    def emit(self, result: FrameResult) -> None:
        """Pass a result to the sink; it is lost if the sink fails."""
        if not self._works(lambda: self._sink.emit(result)):
            self._lost[self.description] = self._lost.get(self.description, 0) + 1

    def waiting(self, what: str) -> None:
        """Pass it on. A failure needs no retry, since this is called again soon."""
        self._works(lambda: self._sink.waiting(what))

    def remark(self, what: str) -> None:
        """Pass it on."""
        self._sink.remark(what)

    def _works(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except OSError as error:
            if not self._failing:
                _log.error("%s fails: %s", self.description, reason(error))
            self._failing = True
            self._sink.trouble = reason(error)
            return False
        if self._failing:
            _log.warning("%s works again", self.description)
            self._sink.trouble = ""
        self._failing = False
        return True
