"""Commands in processes that have Keras loaded already: loading it takes longer than most of them."""

import atexit
import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMANDS = {"fer-train": "fer_train.__main__", "fer-quantize": "fer_quantize.__main__"}

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])


def run(name: str, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run one of `COMMANDS` as `subprocess.run` would.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _CONTEXT.Process(
            target=_become, args=(name, arguments, dict(os.environ), Path.cwd(), out, err), name=name
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([name, *arguments], timeout, out.read_text(), err.read_text())
        return subprocess.CompletedProcess([name, *arguments], process.exitcode, out.read_text(), err.read_text())


def _become(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, out: Path, err: Path
) -> None:
    """Turn this process into a command."""
    for number, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [name, *arguments]
    try:
        importlib.import_module(COMMANDS[name]).run()
    finally:
        atexit._run_exitfuncs()  # a forked process ends without them, and temporary files would be left
