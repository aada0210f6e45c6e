"""What the three command lines share: errors as one line, exit codes, logging."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from fer_edge.errors import FerError

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")]

_debug = False


def set_up(debug: bool, level: int = logging.INFO) -> None:
    """Send log messages to stderr; with `debug`, all of them, and let errors show their traceback."""
    global _debug  # noqa: PLW0603 - one process, one command line
    _debug = debug
    logging.basicConfig(
        level=logging.DEBUG if debug else level,
        stream=sys.stderr,
        format="%(levelname)s %(name)s: %(message)s" if debug else "%(message)s",
        force=True,
    )


def run_app(app: typer.Typer) -> None:
    """Run a command line; an error meant for the user becomes one line and its exit code."""
    try:
        app()
    except FerError as error:
        if _debug:
            raise
        typer.secho(f"error: {error}", err=True, fg="red")
        raise SystemExit(error.exit_code) from None
