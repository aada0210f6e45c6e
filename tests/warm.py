"""Commands and scripts in processes that have Keras loaded already: loading it takes longer than most of them."""

import atexit
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
    done = _run(f"from {COMMANDS[name]} import run\nrun()", [name, *arguments], timeout)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def run_script(script: str, timeout: float = 300) -> bytes:
    """Run Python code, and return what it wrote to standard output.

    Raises:
        subprocess.CalledProcessError: it failed.
        subprocess.TimeoutExpired: it took longer.
    """
    done = _run(script, ["a script"], timeout)
    if done.returncode:
        sys.stderr.write(done.stderr.decode())
    done.check_returncode()
    return done.stdout


def _run(script: str, arguments: list[str], timeout: float) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _CONTEXT.Process(
            target=_become, args=(script, arguments, dict(os.environ), Path.cwd(), out, err), name=arguments[0]
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_bytes(), err.read_bytes())


def _become(
    script: str, arguments: list[str], environment: Mapping[str, str], folder: Path, out: Path, err: Path
) -> None:
    """Turn this process into another."""
    for number, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = arguments
    try:
        exec(compile(script, arguments[0], "exec"), {"__name__": "__main__"})  # noqa: S102 - the tests' own
    finally:
        atexit._run_exitfuncs()  # a forked process ends without them, and temporary files would be left
