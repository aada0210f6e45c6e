"""A slow sink behind its queue: a real thread, real time."""

import logging
import signal
import sys
import threading
from types import CodeType, FrameType

import numpy as np
import pytest
from tests.conftest import wait_until

from fer_edge.sinks import Sink, StopRun
from fer_edge.sinks.queued import QueuedSink
from fer_edge.types import Frame, FrameResult


def result(index: int) -> FrameResult:
    return FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), index / 30, index), (), {})


class Gate(Sink):
    """Takes nothing until it is opened, and ends the run at a given frame."""

    description = "the gate"

    def __init__(self, stop_at: int | None = None) -> None:
        self.opened = threading.Event()
        self.taken: list[int] = []
        self._stop_at = stop_at

    def emit(self, result: FrameResult) -> None:
        self.opened.wait(60)
        if result.frame.index == self._stop_at:
            raise StopRun
        self.taken.append(result.frame.index)


def test_a_file_loses_nothing_and_all_is_written_before_the_end() -> None:
    gate = Gate()
    with QueuedSink(gate, live=False) as queued:
        assert queued.description == gate.description
        threading.Timer(0.2, gate.opened.set).start()
        for index in range(100):
            queued.emit(result(index))
    assert gate.taken == list(range(100))


def test_a_live_source_goes_on_and_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with caplog.at_level(logging.WARNING), QueuedSink(gate, live=True) as queued:
        for index in range(100):
            queued.emit(result(index))
        assert not gate.taken
        gate.opened.set()
    assert gate.taken[-10:] == list(range(90, 100))
    assert gate.taken == sorted(gate.taken)
    assert len(gate.taken) < 20
    assert [record.message for record in caplog.records] == ["the gate is slower than the source: frames are dropped"]


def test_a_sink_that_has_had_enough_ends_the_run() -> None:
    gate = Gate(stop_at=3)
    gate.opened.set()
    with QueuedSink(gate, live=False) as queued, pytest.raises(StopRun):
        for index in range(1000):
            queued.emit(result(index))
    assert gate.taken == [0, 1, 2]


class Broken(Sink):
    """Fails in a way that nobody thought of."""

    description = "the broken one"

    def emit(self, result: FrameResult) -> None:
        raise ValueError(f"frame {result.frame.index}")


@pytest.mark.parametrize("live", [True, False])
def test_a_fault_ends_the_run_and_is_not_lost(live: bool) -> None:
    with pytest.raises(ValueError, match="frame"), QueuedSink(Broken(), live=live) as queued:
        for index in range(1000):
            queued.emit(result(index))


def test_a_fault_in_what_still_waited_is_not_lost() -> None:
    with pytest.raises(ValueError, match="frame 0"), QueuedSink(Broken(), live=False) as queued:
        queued.emit(result(0))


def test_the_first_fault_is_told_and_nothing_is_emitted_after_it() -> None:
    class Breaks(Gate):
        def emit(self, result: FrameResult) -> None:
            super().emit(result)
            raise ValueError(f"frame {result.frame.index}")

    gate = Breaks()
    with pytest.raises(ValueError, match="frame 0"), QueuedSink(gate, live=False) as queued:
        for index in range(5):
            queued.emit(result(index))
        gate.opened.set()
    assert gate.taken == [0]


def test_a_fault_does_not_hide_the_error_that_ends_the_run() -> None:
    with pytest.raises(KeyError), QueuedSink(Broken(), live=False) as queued:
        queued.emit(result(0))
        raise KeyError


def is_in(code: CodeType, thread: int) -> bool:
    """Whether a thread is in a function."""
    frame: FrameType | None = sys._current_frames()[thread]
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def test_ctrl_c_while_it_finishes_gives_up_what_still_waits() -> None:
    gate, main = Gate(), threading.get_ident()

    def interrupt() -> None:
        wait_until(lambda: is_in(QueuedSink.__exit__.__code__, main))
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt), QueuedSink(gate, live=False) as queued:
        for index in range(10):
            queued.emit(result(index))
        interrupter.start()
    interrupter.join()
    assert gate.taken == [], "it did not wait for a sink that takes nothing"
    (worker,) = (thread for thread in threading.enumerate() if thread.name == gate.description)
    assert worker.daemon, "nor does the end of the process"
    gate.opened.set()
    wait_until(lambda: gate.description not in {thread.name for thread in threading.enumerate()})
    assert gate.taken in ([], [0]), "the result in hand may be finished"
