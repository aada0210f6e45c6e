"""A pytest plugin: no test leaves a process or a file behind.

Whatever still runs after a test is killed, and the test fails if it had passed. At the end of the session the same
holds for what fixtures started, and the folder where the tests work and that of temporary files must be empty.

A process belongs to this run if it descends from it, or carries its marker in the environment: so one is found whose
parent has ended, and never one of another run on the same machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from multiprocessing.util import get_temp_dir
from pathlib import Path

import pytest

MARKER = "FER_EDGE_TESTS"
# Seconds that a process may take to end by itself.
_GRACE = float(os.environ.get("FER_EDGE_TESTS_GRACE", "10"))
# Python's own helpers, which live as long as the run.
_HELPERS = (b"multiprocessing.forkserver", b"multiprocessing.resource_tracker")
# Python puts it beside modules, also beside those that TensorFlow writes for a moment.
_BYTECODE = "__pycache__"
_PROC = Path("/proc")
_FAILED = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """Prepare what all processes of the tests inherit."""
    os.environ[MARKER] = f"{os.getpid()}-{time.time_ns()}"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as under nohup; then whatever is started ignores it too
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests failed."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, default=False) or report.failed
    return report


@pytest.fixture(autouse=True, scope="session")
def _nothing_left_at_the_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    get_temp_dir()  # before the folder of temporary files is another: this one is removed after the session
    before = all_processes()
    folders = [tmp_path_factory.mktemp(name) for name in ("working", "temporary")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folders[0])
        patch.setenv("TMPDIR", str(folders[1]))
        patch.setattr(tempfile, "tempdir", None)
        yield
    running = end_processes(before)
    files = [path.name for folder in folders for path in folder.iterdir() if path.name != _BYTECODE]
    for folder in folders:
        shutil.rmtree(folder)
    assert running == [], f"a fixture left processes running: {', '.join(running)}"
    assert files == [], "files were left in the working folder or in that of temporary files"


@pytest.fixture(autouse=True)
def _nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    before = all_processes()
    yield
    running = end_processes(before)
    has_failed = request.node.stash.get(_FAILED, default=False)
    assert running == [] or has_failed, f"the test left processes running: {running}"


def all_processes() -> set[int]:
    """Every process of this machine."""
    return {int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()}


def end_processes(before: Iterable[int]) -> list[str]:
    """Kill what this run has started since `before` and what does not end by itself; return their command lines."""
    known, end = frozenset(before), time.monotonic() + _GRACE
    while (running := _own(known)) and time.monotonic() < end:
        time.sleep(0.05)
    lines = [_describe(process) for process in running]
    for process in running:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return lines


def _own(known: frozenset[int]) -> list[int]:
    """What this run has started, but for `known` processes and what those have started, such as a browser's."""
    return [process for process in all_processes() - known if _runs(process) and _is_own(process, known)]


def _is_own(process: int, known: frozenset[int]) -> bool:
    if _is_helper(process):
        return False
    ancestor = _parent(process)
    while ancestor > 1 and (ancestor not in known or _is_helper(ancestor)):
        ancestor = _parent(ancestor)
    if ancestor > 1:
        return ancestor == os.getpid()
    return f"{MARKER}={os.environ[MARKER]}".encode() in _read(process, "environ").split(bytes(1))


def _is_helper(process: int) -> bool:
    """Whether it is one of Python's own; what the fork server forks has the same command line, but another parent."""
    line = _read(process, "cmdline")
    return _parent(process) == os.getpid() and any(helper in line for helper in _HELPERS)


def _runs(process: int) -> bool:
    """Whether it has not ended; one that has may wait for its parent to notice."""
    state = _status(process)[:1]
    return bool(state) and state[0] not in {b"Z", b"X"}


def _parent(process: int) -> int:
    """Its parent, 0 where it is gone."""
    status = _status(process)
    return int(status[1]) if status else 0


def _status(process: int) -> list[bytes]:
    """The fields of its status from the state on; see proc(5)."""
    return _read(process, "stat").rpartition(b") ")[2].split()


def _describe(process: int) -> str:
    return f"{process}: {_read(process, 'cmdline').replace(bytes(1), b' ').decode(errors='replace')}"


def _read(process: int, name: str) -> bytes:
    try:
        return (_PROC / str(process) / name).read_bytes()
    except OSError:  # it is gone, or another user's
        return b""
