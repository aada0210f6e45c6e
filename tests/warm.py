"""Commands and scripts in processes that have loaded already what they import: that takes longer than most of them."""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import chdir
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

COMMANDS = {name: f"{name.replace('-', '_')}.__main__" for name in ("fer-edge", "fer-train", "fer-quantize")}

_ROOT = Path(__file__).resolve().parents[1]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])


def run(
    name: str,
    arguments: Sequence[str],
    timeout: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one of `COMMANDS` as `subprocess.run` would; the environment cannot choose another backend.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    done = _run(_script(name), [name, *arguments], timeout, environment, folder)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def start(name: str, arguments: Sequence[str], folder: Path) -> BaseProcess:
    """Start one of `COMMANDS`, to be killed: what it writes, temporary files included, goes to that folder."""
    environment = {**os.environ, "TMPDIR": str(folder)}  # TensorFlow leaves files there when it is killed
    out, err = (folder / f"{name}.{suffix}" for suffix in ("out", "err"))
    return _start(_script(name), [name, *arguments], (environment, Path.cwd(), out, err))


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


def _script(name: str) -> str:
    return f"from {COMMANDS[name]} import run\nrun()"


# The environment, the working folder, and the files for standard output and error of a process.
_Place = tuple[Mapping[str, str], Path, Path, Path]


def _start(script: str, arguments: list[str], place: _Place) -> BaseProcess:
    process = _CONTEXT.Process(target=_become, args=(script, arguments, *place), name=arguments[0])
    # The server ignores sys.path, and leaves out what it cannot import without a word. The process imports the main
    # module again, and mutmut's reads its configuration from the working folder.
    with chdir(_ROOT):
        forkserver.ensure_running()
        process.start()
    return process


def _run(
    script: str,
    arguments: list[str],
    timeout: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryDirectory() as files:
        out, err = Path(files, "out"), Path(files, "err")
        process = _start(script, arguments, (dict(environment or os.environ), folder or Path.cwd(), out, err))
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
    if "tests.preloaded" not in sys.modules:
        raise RuntimeError("it is not warm: tests.preloaded could not be imported")
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
