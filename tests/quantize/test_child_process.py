"""The converter's process: whatever kills it, one line tells."""

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import wait_until

from fer_edge.errors import ModelError
from fer_quantize.child_process import ChildProcess


def work(how: str) -> str:
    """What native code does to odd input."""
    faulthandler.disable()  # pytest's, which would tell of each death
    match how:
        case "abort":
            os.write(2, b"loading\nF0000 check failed: shape.rank() == 4\nbye\n")
            os.abort()
        case "exit":
            os._exit(3)
        case "bare":
            raise ValueError
        case "long":
            raise ValueError("x" * 1000)
        case "folder":
            return tempfile.gettempdir()
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        case "raise":
            raise ValueError("no such layer\nand a page of details")
        case "refuse":
            raise ModelError("it has no kernel")
        case "noise":
            os.write(1, b"much noise\n")
            os.write(2, b"much noise\n")
        case _:
            os.kill(os.getpid(), int(how))
    return how.upper()


def refusal(task: Callable[[str], Any], word: str) -> str:
    """What is told of a process that does not do this."""
    with closing(ChildProcess(task)) as child, pytest.raises(ModelError) as caught:
        child.call(word)
    return str(caught.value)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("abort", "the converter aborted (SIGABRT): F0000 check failed: shape.rank() == 4"),
        ("exit", "the converter ended with code 3"),
        (str(int(signal.SIGKILL)), "the converter was killed (SIGKILL), which is what Linux does when memory runs out"),
        (str(int(signal.SIGSEGV)), "the converter crashed (SIGSEGV)"),
        (str(int(signal.SIGTERM)), "the converter was ended by SIGTERM"),
        ("raise", "ValueError: no such layer"),
        ("refuse", "it has no kernel"),
    ],
)
def test_each_end_is_told(how: str, told: str) -> None:
    assert refusal(work, how) == told


@pytest.mark.parametrize(
    ("how", "told"), [("bare", "ValueError: "), ("long", f"ValueError: {'x' * 160}")], ids=["bare", "long"]
)
def test_an_error_is_told_by_its_kind_and_its_beginning(how: str, told: str) -> None:
    assert refusal(work, how) == told


def say_and_exit(words: str) -> None:
    os.write(2, words.encode("latin-1"))
    os._exit(1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ERROR: no kernel", "ERROR: no kernel"),
        ("Assertion   of\trank", "Assertion of rank"),
        ("Fatal: \xe4\nbye", "Fatal: \ufffd"),
        ("Check one\ncheck two\nlast", "check two"),
        ("error " + "x" * 1000, "error " + "x" * 154),
    ],
)
def test_of_what_it_said_the_last_line_that_tells_why_is_told(words: str, told: str) -> None:
    assert refusal(say_and_exit, words) == f"the converter ended with code 1: {told}"


def test_its_temporary_files_go_with_it() -> None:
    child = ChildProcess(work)
    folder = Path(child.call("folder"))
    assert folder.is_dir()
    assert folder != Path(tempfile.gettempdir())
    child.close()
    assert not folder.exists()


def test_ctrl_c_is_for_the_command_alone_which_takes_it_along_when_it_ends() -> None:
    child = ChildProcess(work)
    try:
        assert child.call("interrupt") == "INTERRUPT"
        (process,) = (each for each in multiprocessing.active_children() if each.pid == child.pid)
        assert process.daemon
    finally:
        child.close()


def test_it_answers_again_and_again_and_its_noise_is_not_heard(capfd: pytest.CaptureFixture[str]) -> None:
    child = ChildProcess(work)
    assert child.call("noise") == "NOISE"
    with pytest.raises(ModelError):
        child.call("refuse")
    assert child.call("noise") == "NOISE"
    child.close()
    assert not Path(f"/proc/{child.pid}").exists()
    assert capfd.readouterr() == ("", "")


def forks_of(parent: int) -> list[int]:
    """Children that run the parent's own program: others may be started by what it imports."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    program = Path(f"/proc/{parent}/cmdline").read_bytes()
    found = []
    for child in children:
        with suppress(FileNotFoundError):
            if Path(f"/proc/{child}/cmdline").read_bytes() == program:
                found.append(int(child))
    return found


@pytest.mark.slow
def test_a_converter_that_is_killed_ends_the_command_in_one_line(
    tiny_data: Path, bundle_dir: Path, tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "fer_quantize", bundle_dir / "model.keras", "--out", tmp_path / "bundle"]
    program += ["--data", tiny_data, "--labels", "fer2013", "--representative", "20"]
    with subprocess.Popen([*map(str, program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: bool(forks_of(process.pid)), seconds=300)
        os.kill(forks_of(process.pid)[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 4
    assert "Traceback" not in errors
    error = errors.splitlines()[-1]
    assert error.startswith("error: ")
    assert "model.keras: cannot be converted to int8: the converter was killed (SIGKILL)" in error
    assert not (tmp_path / "bundle").exists()
