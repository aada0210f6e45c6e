"""Standard error: one console for log lines, live line and progress bars, so that none runs into another."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import suppress
from functools import cache

from rich.console import Console
from rich.text import Text

# Priorities that systemd's journal reads at the beginning of a line (sd-daemon(3)).
_PRIORITIES = {logging.DEBUG: "<7>", logging.INFO: "<6>", logging.WARNING: "<4>", logging.ERROR: "<3>"}


# Columns of a line that nobody watches: as long as it needs.
_UNLIMITED = 100_000


def output_console() -> Console:
    """Make a console on standard output, for tables. In a pipe or a file no line is wrapped or cut."""
    return Console() if sys.stdout.isatty() else Console(width=_UNLIMITED)


@cache
def console() -> Console:
    """The console on standard error. Whatever is drawn or printed there while a program runs goes through it."""
    return Console(stderr=True)


def tell(message: str, *, error: bool = False) -> None:
    """Write a line to standard error, if anybody is there to read it."""
    message = printable(message)
    with suppress(OSError):
        if sys.stderr.isatty():
            _print(message, "red" if error else "")
        else:
            mark = _PRIORITIES[logging.ERROR if error else logging.INFO] if _is_journal() else ""
            print(mark + message, file=sys.stderr, flush=True)  # noqa: T201 - what this module is for


def printable(text: str) -> str:
    """The text with control characters as escapes: a name must not move the cursor, nor forge another line."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def without_password(url: str) -> str:
    """A URL as it may be shown: without user and password, and without a query, which may hold one. A name as it is."""
    if "://" not in url:
        return url
    address, question, _ = url.partition("?")
    return re.sub(r"//.*@", "//", address) + ("?…" if question else "")


def encodable(text: str) -> str:
    """The text with what standard output's encoding lacks as escapes, so that tables know how wide it is."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def log_handler(line: str) -> logging.Handler:
    """Make the handler that writes log messages to standard error.

    Args:
        line: the format of a line, as `logging.Formatter` has it.
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
    """Prints above the live line or progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the terminal may be gone
            _print(self.format(record))


class _LineFormatter(logging.Formatter):
    """Makes one line of each message; only a traceback has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging has it
        return printable(super().formatMessage(record))


class _JournalFormatter(_LineFormatter):
    """Puts the priority in front of each line."""

    def format(self, record: logging.LogRecord) -> str:
        mark = _PRIORITIES.get(record.levelno, "<6>")
        return "\n".join(mark + line for line in super().format(record).splitlines())


def _print(message: str, style: str = "") -> None:
    console().print(Text(message, style), soft_wrap=True)


def _is_journal() -> bool:
    """Whether standard error goes straight to systemd's journal (systemd.exec(5), JOURNAL_STREAM)."""
    with suppress(OSError, ValueError):
        status = os.fstat(sys.stderr.fileno())
        return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return False
