"""Run a slow sink behind a queue, in its own thread, so that the loop does not wait for it."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from typing import Self

from fer_edge.sinks import Sink, StopRun
from fer_edge.types import FrameResult

_log = logging.getLogger(__name__)

# At most this many results wait: half a second, and 15 MB of frames at 640x480.
_LENGTH = 16


class QueuedSink(Sink):
    """Emits in a thread. Results that wait at the end are still emitted.

    When the queue is full, the oldest result of a live source is dropped, since the newest matters more. For other
    sources the loop waits, and nothing is lost.
    """

    def __init__(self, sink: Sink, *, live: bool) -> None:
        self.description = sink.description
        self._sink = sink
        self._live = live
        self._waiting: queue.Queue[FrameResult | None] = queue.Queue(_LENGTH)
        self._is_over = False
        self._fault: Exception | None = None
        self._has_dropped = False
        self._thread = threading.Thread(target=self._work, name=sink.description, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Wait until all results are emitted, or, after an interruption, until the current one is.

        Raises what the sink raised, unless another error is being handled.
        """
        try:
            self._waiting.put(None)
            self._thread.join()
        except KeyboardInterrupt:
            self._is_over = True
            self._thread.join(timeout=1)
            raise
        if self._fault and error is None:
            raise self._fault

    def emit(self, result: FrameResult) -> None:
        """Queue one result. Raises what the sink raised before, such as StopRun."""
        if self._fault:
            raise self._fault
        if self._is_over:
            raise StopRun
        if self._live and self._waiting.full():
            self._drop_oldest()
        self._waiting.put(result)

    def _drop_oldest(self) -> None:
        with suppress(queue.Empty):  # the thread has just emptied it
            self._waiting.get_nowait()
            if not self._has_dropped:
                _log.warning("%s is slower than the source: frames are dropped", self._sink.description)
            self._has_dropped = True

    def _work(self) -> None:
        while (result := self._waiting.get()) is not None:
            if self._is_over:
                continue
            try:
                self._sink.emit(result)
            except StopRun:
                self._is_over = True
            except Exception as fault:  # noqa: BLE001 - it belongs to the thread that waits for this one
                self._fault, self._is_over = fault, True
