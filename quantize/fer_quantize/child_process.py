"""A function in a process of its own: a crash of its native code ends that process alone, and is told."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

from fer_edge.errors import FerError, ModelError

# Seconds for a process to end that has nothing left to do.
_PATIENCE = 5.0
_DEATHS = {
    signal.SIGKILL: "was killed (SIGKILL), which is what Linux does when memory runs out",
    signal.SIGABRT: "aborted (SIGABRT)",
    signal.SIGSEGV: "crashed (SIGSEGV)",
    signal.SIGFPE: "crashed (SIGFPE)",
    signal.SIGILL: "uses instructions that this processor lacks (SIGILL)",
}
# Characters of what a process said last.
_LONGEST_WORDS = 160


class ChildProcess:
    """Waits for calls of one function. It is forked at once: begin it before threads compute, such as TensorFlow's."""

    def __init__(self, function: Callable[..., Any]) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._folder = tempfile.TemporaryDirectory()  # what it would leave behind there goes with it
        self._output: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = context.Process(
            target=_serve,
            args=(function, theirs, self._connection, self._output.fileno(), self._folder.name),
            daemon=True,
        )
        with warnings.catch_warnings():  # of forking after an import that has threads: they do not compute yet
            warnings.simplefilter("ignore")
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid or 0

    def call(self, *arguments: object) -> Any:  # noqa: ANN401 - whatever the function gives
        """Call the function. Raises ModelError where it raises an error, and where the process dies."""
        try:
            self._connection.send(arguments)
            worked, result = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(_PATIENCE)
            raise ModelError(f"the converter {self._death()}") from None
        if not worked:
            raise ModelError(result)
        return result

    def close(self) -> None:
        """End it."""
        self._connection.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._output.close()
        self._folder.cleanup()

    def _death(self) -> str:
        code = self._process.exitcode or 0
        how = _DEATHS.get(signal.Signals(-code), f"was ended by {signal.Signals(-code).name}") if code < 0 else ""
        words = self._last_words()
        return (how or f"ended with code {code}") + (f": {words}" if words else "")

    def _last_words(self) -> str:
        """The last line that tells why, of what the process wrote."""
        self._output.seek(0)
        lines = [" ".join(line.split()) for line in self._output.read().decode(errors="replace").splitlines()]
        telling = [
            line for line in lines if any(word in line.lower() for word in ("error", "assert", "fatal", "check"))
        ]
        return telling[-1][:_LONGEST_WORDS] if telling else ""


def _serve(
    function: Callable[..., Any], connection: Connection, other_end: Connection, output: int, folder: str
) -> None:
    other_end.close()
    tempfile.tempdir = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    with contextlib.suppress(EOFError, OSError):
        while True:
            arguments = connection.recv()
            try:
                answer: tuple[bool, Any] = (True, function(*arguments))
            except FerError as error:
                answer = (False, str(error))
            except Exception as error:  # noqa: BLE001 - told by the parent
                lines = str(error).strip().splitlines() or [""]
                answer = (False, f"{type(error).__name__}: {lines[0][:_LONGEST_WORDS]}")
            connection.send(answer)
