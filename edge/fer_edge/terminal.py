"""One console on standard error for log, live line and progress bars, so that they do not overwrite each other."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import suppress
from functools import cache

from rich.console import Console
from rich.text import Text

# systemd's journal reads these priorities at the beginning of a line (sd-daemon(3)).
_PRIORITIES = {logging.DEBUG: "<7>", logging.INFO: "<6>", logging.WARNING: "<4>", logging.ERROR: "<3>"}


# Lines that do not go to a terminal may have this many columns.
_UNLIMITED = 100_000


def output_console() -> Console:
    """Make a console on standard output, for tables. In a pipe or a file no line is wrapped or cut."""
    return Console() if sys.stdout.isatty() else Console(width=_UNLIMITED)


@cache
def console() -> Console:
    """The console on standard error. Everything on a terminal must go through it."""
    return Console(stderr=True)


def tell(message: str, *, error: bool = False) -> None:
    """Write a line to standard error. A closed standard error is ignored."""
    message = printable(message)
    with suppress(OSError):
        if sys.stderr.isatty():
            _print(message, "red" if error else "")
        else:
            mark = _PRIORITIES[logging.ERROR if error else logging.INFO] if _is_journal() else ""
            print(mark + message, file=sys.stderr, flush=True)  # noqa: T201 - what this module is for


def printable(text: str) -> str:
    """The text with control characters as escapes, so that a name cannot move the cursor or fake another line."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def without_password(url: str) -> str:
    """A URL without user, password and query (which may hold a password). Other names are returned unchanged."""
    if "://" not in url:
        return url
    address, question, _ = url.partition("?")
    return re.sub(r"//.*@", "//", address, flags=re.DOTALL) + ("?…" if question else "")


def encodable(text: str) -> str:
    """The text with characters that standard output cannot encode as escapes, so that tables know its width."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def log_handler(line: str) -> logging.Handler:
    """Create the handler that writes log messages to standard error.

    Args:
        line: format of a line, as for `logging.Formatter`.
    """
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = _ConsoleHandler()
        handler.setFormatter(_LineFormatter(line))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JournalFormatter(line) if _is_journal() else _LineFormatter(line))
    return handler


class _ConsoleHandler(logging.Handler):
    """Prints above the live line or progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the terminal may be gone
            _print(self.format(record))


class _LineFormatter(logging.Formatter):
    """Formats each message as one line; only a traceback has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging has it
        return printable(super().formatMessage(record))


class _JournalFormatter(_LineFormatter):
    """Adds the priority to each line."""

    def format(self, record: logging.LogRecord) -> str:
        mark = _PRIORITIES.get(record.levelno, "<6>")
        return "\n".join(mark + line for line in super().format(record).splitlines())


def _print(message: str, style: str = "") -> None:
    console().print(Text(message, style), soft_wrap=True)


def _is_journal() -> bool:
    """Whether standard error is connected to systemd's journal (systemd.exec(5), JOURNAL_STREAM)."""
    with suppress(OSError, ValueError):
        status = os.fstat(sys.stderr.fileno())
        return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return False
