"""Run `fer-edge` in this process, as if it was typed, and read the tables that it prints."""

from __future__ import annotations

import io
import logging
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
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


def typed(*words: object) -> Typed:
    """Run `fer-edge` with these words, and return its exit code and what it wrote."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    root, arguments = logging.getLogger(), sys.argv
    handlers, level = [*root.handlers], root.level
    usual = {number: signal.getsignal(number) for number in _SIGNALS}
    sys.argv = ["fer-edge", *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            run()
    finally:
        sys.argv = arguments
        root.handlers[:] = handlers
        root.setLevel(level)
        for number, handler in usual.items():
            signal.signal(number, handler)
    said, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
    return Typed(int(ended.value.code or 0), said, complained)


def rows_of(text: str) -> list[list[str]]:
    """The rows of the tables in a text, the headings among them, cell by cell."""
    lines = [line.replace("┃", "│") for line in text.splitlines()]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
