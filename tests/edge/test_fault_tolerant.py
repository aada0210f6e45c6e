"""An output that fails now and then, and the loop that goes on."""

import errno
import logging

import numpy as np
import pytest

from fer_edge.sinks import Sink, StopRun
from fer_edge.sinks.fault_tolerant import FaultTolerantSink
from fer_edge.types import Frame, FrameResult

RESULT = FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), (), {})
FULL = "No space left on device"


class Disk(Sink):
    """Takes what it is given, unless it is full."""

    description = "the disk"

    def __init__(self) -> None:
        self.full = False
        self.taken: list[object] = []

    def _take(self, what: object) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, FULL)
        self.taken.append(what)

    def emit(self, result: FrameResult) -> None:
        self._take(result)

    def waiting(self, what: str) -> None:
        self._take(f"waiting for {what}")

    def remark(self, what: str) -> None:
        self.taken.append(f"remark: {what}")


def test_all_is_passed_on() -> None:
    disk, lost = Disk(), dict[str, int]()
    sink = FaultTolerantSink(disk, lost)
    sink.emit(RESULT)
    sink.waiting("the camera")
    sink.remark("too dark")
    assert disk.taken == [RESULT, "waiting for the camera", "remark: too dark"]
    assert (sink.description, lost, disk.trouble) == ("the disk", {}, "")


def test_frames_are_counted_that_did_not_fit_and_each_change_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    disk, lost = Disk(), {"another output": 2}
    sink = FaultTolerantSink(disk, lost)
    with caplog.at_level(logging.INFO):
        for full, emitted, told in ((True, 3, 1), (False, 2, 2), (True, 1, 3), (False, 1, 4)):
            disk.full = full
            for _ in range(emitted):
                sink.emit(RESULT)
                assert disk.trouble == (FULL if full else "")
            assert len(caplog.records) == told
    assert disk.taken == [RESULT] * 3
    assert lost == {"another output": 2, "the disk": 4}
    fails, works = (logging.ERROR, f"the disk fails: {FULL}"), (logging.WARNING, "the disk works again")
    assert [(record.levelno, record.message) for record in caplog.records] == [fails, works] * 2


def test_while_a_camera_is_lost_no_frame_is(caplog: pytest.LogCaptureFixture) -> None:
    disk, lost = Disk(), dict[str, int]()
    disk.full = True
    sink = FaultTolerantSink(disk, lost)
    for _ in range(3):
        sink.waiting("the camera")
    assert (lost, disk.trouble, len(caplog.records)) == ({}, FULL, 1)


def test_the_end_of_the_run_is_no_fault() -> None:
    class Closed(Disk):
        def emit(self, result: FrameResult) -> None:  # noqa: ARG002 - the protocol's
            raise StopRun

    lost: dict[str, int] = {}
    with pytest.raises(StopRun):
        FaultTolerantSink(Closed(), lost).emit(RESULT)
    assert lost == {}
