"""What the three command lines share: errors as one line, exit codes, logging."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.errors import FerError
from fer_edge.quiet import discard_stdout

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")]

EXIT_USAGE = 2
EXIT_FAULT = 5
EXIT_INTERRUPTED = 130

_debug = False


def set_up(debug: bool) -> None:
    """Send log messages to stderr; with `debug`, all of them, and let errors show their traceback."""
    global _debug  # noqa: PLW0603 - one process, one command line
    _debug = debug
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        stream=sys.stderr,
        format="%(levelname)s %(name)s: %(message)s" if debug else "%(message)s",
        force=True,
    )


def run_app(app: typer.Typer) -> None:
    """Run a command line and leave with its exit code; whatever goes wrong becomes one line."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - closed by the caller's shell
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except FerError as error:
        code = _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort
        code = _complain_of(error)
    sys.exit(code)


def tell(message: str, colour: str | None = None) -> None:
    """Write a line to standard error, if anybody is there to read it."""
    with suppress(OSError):
        typer.secho(message, err=True, fg=colour)


def _complain_of(error: Exception) -> int:
    if type(error).__name__ == "Abort":
        return EXIT_INTERRUPTED
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return EXIT_USAGE
    if hasattr(error, "format_message"):  # a usage error of the command-line library
        return _complain(f"{' '.join(error.format_message().split()).rstrip('.')}. See --help", EXIT_USAGE)
    if isinstance(error, OSError) and error.filename is None:
        discard_stdout()
        return _complain(f"an output cannot be written ({error.strerror})", EXIT_USAGE)
    return _complain(
        f"a fault of the program: {type(error).__name__}: {' '.join(str(error).split())[:300]}. "
        "Run it with --debug before the command, and report what that shows",
        EXIT_FAULT,
    )


def _complain(message: str, code: int) -> int:
    if _debug:
        raise  # noqa: PLE0704 - always called while an error is handled
    tell(f"error: {message}", colour="red")
    return code
