"""A command in a real terminal, and what a person sees there: pyte is the terminal."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte
import pytest


class Screen:
    """What a command has drawn."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, drawn: bytes) -> None:
        self._stream.feed(drawn)

    @property
    def lines(self) -> list[str]:
        """Every line down to the last that is not empty."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().splitlines()

    @property
    def cursor_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)


def run_in_terminal(
    arguments: Sequence[str | Path],
    ctrl_c_when: Callable[[list[str]], bool] | None = None,
    columns: int = 100,
    rows: int = 30,
    seconds: float = 120,
    data_home: Path = Path("/nonexistent"),
) -> tuple[int, Screen]:
    """Run a command to its end; return its exit code and the screen.

    Args:
        arguments: the command.
        ctrl_c_when: is asked about the screen's lines; Ctrl-C is pressed once, when it says so.
        columns: of the terminal.
        rows: of the terminal.
        data_home: where a user's data are; by default there are none, such as detectors' models.
        seconds: after which it is killed, and the test fails.
    """
    screen = Screen(columns, rows)
    process, terminal = pty.fork()
    if process == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background ignores it
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            environment = {**os.environ, "TERM": "xterm-256color", "XDG_DATA_HOME": str(data_home)}
            environment.pop("COLUMNS", None)  # the terminal's own size counts; pytest-xdist sets another
            os.execve(arguments[0], [str(word) for word in arguments], environment)  # noqa: S606 - our own program
        finally:
            os._exit(127)
    end = time.monotonic() + seconds
    try:
        while drawn := _read(terminal, end):
            screen.feed(drawn)
            if ctrl_c_when and ctrl_c_when(screen.lines):
                os.write(terminal, b"\x03")
                ctrl_c_when = None
    except TimeoutError:
        os.kill(process, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(process, 0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(status), screen


def _read(terminal: int, end: float) -> bytes:
    """What was drawn next; nothing when the command has ended."""
    if not select.select([terminal], [], [], max(end - time.monotonic(), 0))[0]:
        raise TimeoutError("the command does not end")
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: its last process has closed the terminal
        return b""


def make_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output a terminal of 30 columns with colours. No fixture: pytest replaces it after these."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm-256color")


def rows_of(text: str) -> list[list[str]]:
    """The rows of the tables in a text, the headings among them, cell by cell."""
    lines = [line.replace("┃", "│").split("│")[1:-1] for line in text.splitlines() if line[:1] in {"┃", "│"}]
    return [[cell.strip() for cell in line] for line in lines]
