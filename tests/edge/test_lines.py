"""Lines on standard error and standard output: on a terminal, in a file, in systemd's journal."""

import io
import logging
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from fer_edge.terminal import console, encodable, log_handler, output_console, printable, tell, without_password


class Terminal:
    """A terminal of 30 columns, which is standard output and standard error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._own, other = pty.openpty()
        self.stream = os.fdopen(other, "w")

    def begin(self) -> None:
        """Only a test itself can do so: pytest has its own streams, and sets them after the fixtures."""
        for name in ("stdout", "stderr"):
            self._monkeypatch.setattr(sys, name, self.stream)

    def shown(self) -> str:
        self.stream.flush()
        os.set_blocking(self._own, False)
        return os.read(self._own, 10_000).decode().replace("\r\n", "\n")

    def close(self) -> None:
        os.close(self._own)
        self.stream.close()


class Errors:
    """A file that becomes standard error. It is read without what a program still holds back."""

    def __init__(self, path: Path, stream: IO[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self._stream = stream
        self._monkeypatch = monkeypatch

    def begin(self, *, journal: bool = False) -> None:
        """Only a test itself can do so: pytest has its own standard error, and sets it after the fixtures."""
        self._monkeypatch.setattr(sys, "stderr", self._stream)
        if journal:
            status = os.fstat(self._stream.fileno())
            self._monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")

    def __call__(self) -> str:
        return self._path.read_text()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    terminal = Terminal(monkeypatch)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "30")
    console.cache_clear()
    yield terminal
    terminal.close()
    console.cache_clear()


@pytest.fixture
def errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Errors]:
    """A file for standard error."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    path = tmp_path / "errors"
    with path.open("w") as file:
        yield Errors(path, file, monkeypatch)


def logged(level: int, text: str, error: Exception | None = None) -> None:
    """Log one message of the logger `door` with the program's handler."""
    handler = log_handler("%(name)s: %(message)s")
    details = (type(error), error, None) if error else None
    handler.handle(logging.LogRecord("door", level, "", 0, text, (), details))


def test_a_line_in_a_file_is_there_at_once_and_has_no_mark(errors: Errors) -> None:
    errors.begin()
    tell("hello\x1b[2J")
    assert errors() == "hello\\x1b[2J\n"
    tell("wrong", error=True)
    assert errors() == "hello\\x1b[2J\nwrong\n"


def test_the_journal_gets_the_priority_of_a_line(errors: Errors) -> None:
    errors.begin(journal=True)
    tell("hello")
    tell("wrong", error=True)
    assert errors() == "<6>hello\n<3>wrong\n"


@pytest.mark.parametrize("value", ["1:1", "", "nonsense"])
def test_a_journal_that_is_not_standard_error_gets_no_mark(
    errors: Errors, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    errors.begin()
    monkeypatch.setenv("JOURNAL_STREAM", value)
    tell("hello")
    assert errors() == "hello\n"


def test_a_standard_error_without_a_file_gets_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    tell("hello")
    assert stream.getvalue() == "hello\n"


def test_a_standard_error_that_takes_nothing_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(full, write_through=True))
        tell("hello")


def test_the_journal_gets_the_priority_of_each_line_of_the_log(errors: Errors) -> None:
    errors.begin(journal=True)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logged(level, "x\ny")
    lines = errors().splitlines()
    assert lines == [f"{mark}door: x\\ny" for mark in ("<7>", "<6>", "<4>", "<3>", "<6>")]
    logged(logging.ERROR, "x", ValueError("z"))
    assert errors().splitlines()[len(lines) :] == ["<3>door: x", "<3>ValueError: z"]


def test_a_message_of_the_log_is_one_line_in_a_file_and_only_a_traceback_has_more(errors: Errors) -> None:
    errors.begin()
    logged(logging.WARNING, "x\ny")
    logged(logging.ERROR, "x", ValueError("z"))
    assert errors() == "door: x\\ny\ndoor: x\nValueError: z\n"


def test_on_a_terminal_an_error_is_red_and_no_line_is_wrapped(terminal: Terminal) -> None:
    terminal.begin()
    long = "a line that is longer than thirty columns [bold] :smile: 12"
    tell(long)
    assert terminal.shown() == f"{long}\n"
    tell(long, error=True)
    assert terminal.shown() == f"\x1b[31m{long}\x1b[0m\n"


def test_on_a_terminal_the_log_goes_through_the_console_and_is_not_wrapped(terminal: Terminal) -> None:
    terminal.begin()
    logged(logging.WARNING, "a line that is longer than thirty columns [bold]\n")
    assert terminal.shown() == "door: a line that is longer than thirty columns [bold]\\n\n"
    assert console().stderr


def test_tables_fit_a_terminal_and_elsewhere_are_never_wrapped(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.begin()
    assert output_console().width == 30
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert output_console().width == 100_000


@pytest.mark.parametrize(
    ("text", "shown"), [("Zoë 1", "Zoë 1"), ("a\nb", "a\\nb"), ("\x1b[1m", "\\x1b[1m"), ("\u202ea", "\\u202ea")]
)
def test_what_moves_the_cursor_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:secret@cam/1", "rtsp://cam/1"),
        ("rtsp://me:sec@ret@cam/1?key=secret", "rtsp://cam/1?…"),
        ("rtsp://me:sec\nret@cam", "rtsp://cam"),
        ("http://cam/1?", "http://cam/1?…"),
        ("http://cam/1", "http://cam/1"),
        ("/a/me@cam?x", "/a/me@cam?x"),
    ],
)
def test_a_url_is_shown_without_login_and_query(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_what_standard_output_cannot_encode_is_shown_as_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, shown in (("ascii", "Zo\\xeb"), ("utf-8", "Zoë")):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
        assert encodable("Zoë") == shown
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert encodable("Zoë") == "Zoë"
