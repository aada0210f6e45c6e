"""Run `fer-edge` in this process, as if it was typed."""

from __future__ import annotations

import io
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from fer_edge.cli.app import run

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@dataclass(frozen=True, slots=True)
class Typed:
    """What a command left behind."""

    code: int
    out: str
    err: str


@contextmanager
def usual_state() -> Iterator[None]:
    """Leave the log's handlers and level, and the signals, as they were before a command changed them."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    usual = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for number, handler in usual.items():
            signal.signal(number, handler)


def typed(*words: object) -> Typed:
    """Run `fer-edge` with these words, and return its exit code and what it wrote."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    arguments = sys.argv
    sys.argv = ["fer-edge", *map(str, words)]
    try:
        with usual_state(), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            run()
    finally:
        sys.argv = arguments
    said, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
    return Typed(int(ended.value.code or 0), said, complained)
