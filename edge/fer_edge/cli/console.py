"""Common parts of all command lines: logging, errors as one line, exit codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.errors import FerError, MissingExtra
from fer_edge.silence import discard_stdout
from fer_edge.terminal import log_handler, tell

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_USAGE = 2
EXIT_FAULT = 5
EXIT_INTERRUPTED = 130

# This is cv2.Error.StsNoMem.
_OPENCV_NO_MEMORY = -4

_debug = False
_at_once = False


def set_up(debug: bool) -> None:
    """Log to standard error. With `debug`, log everything, and let errors show their traceback."""
    global _debug  # noqa: PLW0603 - one process, one command line
    _debug = debug
    line = "%(levelname)s %(name)s: %(message)s" if debug else "%(message)s"
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[log_handler(line)], force=True)


def exit_at_once() -> None:
    """Exit without cleaning up: a thread hangs in a driver, and could wake up while Python shuts down."""
    global _at_once  # noqa: PLW0603 - one process, one command line
    _at_once = True


def run_app(command: Callable[..., int | None], extra: str | None = None) -> None:
    """Run a command line and exit with its exit code; any error becomes one line.

    Args:
        command: the result of `general.build`.
        extra: the extra whose packages the commands need.
    """
    _open_standard_descriptors()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # fer_edge.cli.sigint
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - closed by the caller's shell
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that cannot be encoded must not raise
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command(standalone_mode=False)
        sys.stdout.flush()
    except FerError as error:
        code = _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except SystemExit as stop:
        code = _exit_code(stop)
    except Exception as error:  # noqa: BLE001 - the last resort
        code = _complain_of(error, extra)
    _leave(code)


def _open_standard_descriptors() -> None:
    """Open closed standard descriptors on /dev/null, before another file gets their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


def _leave(code: int | None) -> None:
    if _at_once:
        with suppress(OSError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    sys.exit(code)


def _exit_code(stop: SystemExit) -> int:
    """0 where the reader of a help text has seen enough; else raise it again."""
    if not isinstance(stop.__context__, BrokenPipeError):
        raise stop
    discard_stdout()
    return 0


def _complain_of(error: Exception, extra: str | None) -> int:
    if isinstance(error, ModuleNotFoundError) and extra and not (error.name or "").startswith("fer_"):
        missing = MissingExtra(error.name or "a package", extra)
        return _complain(str(missing), missing.exit_code)
    if type(error).__name__ == "Abort":
        return EXIT_INTERRUPTED
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return EXIT_USAGE
    if hasattr(error, "format_message"):  # a usage error of the command-line library
        said = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
        said = re.sub(r" \(Possible options: (--[\w-]+).*\)$", r". Did you mean \1?", said)
        return _complain(f"{said}{'' if said.endswith('?') else '.'} See --help", EXIT_USAGE)
    shortage = _shortage(error)
    if not shortage and isinstance(error, OSError) and error.filename is None and error.strerror:
        discard_stdout()
        return _complain(f"an output cannot be written ({error.strerror})", EXIT_USAGE)
    fault = (
        f"a fault of the program: {type(error).__name__}: {' '.join(str(error).split())[:300]}. "
        "Run it with --debug, and report what that shows"
    )
    return _complain(shortage or fault, EXIT_USAGE if shortage else EXIT_FAULT)


def _shortage(error: Exception) -> str | None:
    """Describe what the machine has too little of; None for other errors."""
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        return "too many open files. Raise the limit: ulimit -n, or LimitNOFILE= of a service"
    if isinstance(error, MemoryError) or getattr(error, "code", None) == _OPENCV_NO_MEMORY:
        return "not enough memory. Free some, or raise the limit: MemoryMax= of a service"
    return None


def _complain(message: str, code: int) -> int:
    if _debug:
        raise  # noqa: PLE0704 - always called while an error is handled
    tell(f"error: {message}", error=True)
    return code
