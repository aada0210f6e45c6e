"""How a command ends: its exit code, and one line for whatever went wrong."""

import errno
import io
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.typed import typed, usual_state

from fer_edge import __version__
from fer_edge.cli import console
from fer_edge.cli.console import run_app, set_up
from fer_edge.cli.signals import StopSignals
from fer_edge.errors import MissingExtra, ModelError

Printed = pytest.CaptureFixture[str]
FAULT = "Run it with --debug, and report what that shows\n"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The log, the signals and the error handling as they were before."""
    debug = console._debug
    with usual_state():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored
        yield
    console._debug = debug


@pytest.fixture
def kept_stdout() -> Iterator[None]:
    """The descriptor of standard output is the same afterwards."""
    kept = os.dup(1)
    yield
    os.dup2(kept, 1)
    os.close(kept)


def ended(command: Callable[..., int | None], extra: str | None = None) -> int | str | None:
    """The exit code of a command line that does this."""
    with pytest.raises(SystemExit) as end:
        run_app(command, extra)
    return end.value.code


def raising(error: BaseException) -> Callable[..., int | None]:
    def command(*, standalone_mode: bool) -> int | None:
        assert standalone_mode is False
        raise error

    return command


class Abort(Exception):  # noqa: N818 - that is its name
    """As the library of command lines raises it."""


class UsageError(Exception):
    """As the library of command lines raises it."""

    def format_message(self) -> str:
        return str(self)


class NoArgsIsHelpError(UsageError):
    """As the library of command lines raises it."""

    def show(self) -> None:
        sys.stderr.write("the help\n")


class OpenCvError(Exception):
    code = -4


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ModelError("the model is broken"), 4, "error: the model is broken\n"),
        (KeyboardInterrupt(), 130, ""),
        (Abort(), 130, ""),
        (NoArgsIsHelpError("x"), 2, "the help\n"),
        (UsageError("No such command 'x'."), 2, "error: No such command 'x'. See --help\n"),
        (UsageError("Value error, it\n is wrong"), 2, "error: it is wrong. See --help\n"),
        (
            UsageError("No such option: --jsn (Possible options: --json, --json-lines)"),
            2,
            "error: No such option: --jsn. Did you mean --json? See --help\n",
        ),
        (
            UsageError("No such command 'rn'. Did you mean 'run'?"),
            2,
            "error: No such command 'rn'. Did you mean 'run'? See --help\n",
        ),
        (ValueError("a\n  b"), 5, f"error: a fault of the program: ValueError: a b. {FAULT}"),
        (ValueError("x" * 301), 5, f"error: a fault of the program: ValueError: {'x' * 300}. {FAULT}"),
        (
            OSError(errno.EMFILE, "Too many open files"),
            2,
            "error: too many open files. Raise the limit: ulimit -n, or LimitNOFILE= of a service\n",
        ),
        (
            OSError(errno.ENFILE, "Too many open files", "x"),
            2,
            "error: too many open files. Raise the limit: ulimit -n, or LimitNOFILE= of a service\n",
        ),
        (MemoryError(), 2, "error: not enough memory. Free some, or raise the limit: MemoryMax= of a service\n"),
        (OpenCvError(), 2, "error: not enough memory. Free some, or raise the limit: MemoryMax= of a service\n"),
        (
            OSError(errno.EACCES, "Permission denied", "/x"),
            5,
            f"error: a fault of the program: PermissionError: [Errno 13] Permission denied: '/x'. {FAULT}",
        ),
        (OSError("odd"), 5, f"error: a fault of the program: OSError: odd. {FAULT}"),
        (
            ModuleNotFoundError("no x", name="x"),
            5,
            f"error: a fault of the program: ModuleNotFoundError: no x. {FAULT}",
        ),
    ],
)
def test_each_error_is_one_line_with_its_exit_code(error: BaseException, code: int, said: str, capsys: Printed) -> None:
    assert ended(raising(error)) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.usefixtures("kept_stdout")
def test_an_output_that_is_full_is_told_without_a_name(capsys: Printed) -> None:
    assert ended(raising(OSError(errno.ENOSPC, "No space left on device"))) == 2
    assert capsys.readouterr().err == "error: an output cannot be written (No space left on device)\n"
    assert os.fstat(1).st_rdev == Path(os.devnull).stat().st_rdev, "Python's last flush does not fail again"


@pytest.mark.parametrize(("name", "told"), [("paho", "paho"), (None, "a package")])
def test_a_package_that_is_missing_is_named_with_its_extra(name: str | None, told: str, capsys: Printed) -> None:
    expected = MissingExtra(told, "train")
    assert ended(raising(ModuleNotFoundError("none", name=name)), "train") == expected.exit_code
    assert capsys.readouterr().err == f"error: {expected}\n"


def test_a_module_of_our_own_that_is_missing_is_a_fault(capsys: Printed) -> None:
    assert ended(raising(ModuleNotFoundError("none", name="fer_train.x")), "train") == 5
    assert "a fault of the program: ModuleNotFoundError: none. " in capsys.readouterr().err


@pytest.mark.parametrize("code", [None, 0, 3])
def test_a_commands_own_exit_code_is_passed_on(code: int | None) -> None:
    assert ended(lambda *, standalone_mode: None if standalone_mode else code) == code
    assert ended(raising(SystemExit(code))) == code


@pytest.mark.usefixtures("kept_stdout")
def test_a_help_text_that_nobody_reads_to_its_end_is_no_error() -> None:
    def nobody_reads() -> None:
        raise BrokenPipeError

    def command(*, standalone_mode: bool) -> None:
        assert not standalone_mode
        try:
            nobody_reads()
        except BrokenPipeError:
            sys.exit(1)

    assert ended(command) == 0


def test_closed_outputs_are_replaced_and_letters_that_do_not_fit_are_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    written, complained = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(complained, "ascii", write_through=True))

    def command(*, standalone_mode: bool) -> None:
        sys.stdout.write("zwölf\n")
        sys.stderr.write("zwölf\n")
        assert not standalone_mode

    assert ended(command) is None
    assert written.getvalue() == complained.getvalue() == b"zw\\xf6lf\n"
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert ended(command) is None
    capsys.readouterr()


def test_what_is_left_to_write_is_written_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.EIO, "Input/output error", "out")

    monkeypatch.setattr(sys, "stdout", Full())
    assert ended(lambda *, standalone_mode: int(standalone_mode)) == 5


def test_ctrl_c_interrupts_even_where_the_shell_set_its_default() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ended(lambda *, standalone_mode: int(standalone_mode))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended(lambda *, standalone_mode: int(standalone_mode))
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "as in a shell's background"


@pytest.mark.parametrize(
    ("debug", "lines"),
    [(False, "shown\nseen\n"), (True, "DEBUG fer.x: hidden\nINFO fer.x: shown\nWARNING fer.x: seen\n")],
)
def test_the_log_goes_to_standard_error(debug: bool, lines: str, capsys: Printed) -> None:
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    set_up(debug)
    log = logging.getLogger("fer.x")
    log.debug("hidden")
    log.info("shown")
    log.warning("seen")
    assert capsys.readouterr() == ("", lines)


def test_debug_lets_the_error_through() -> None:
    set_up(debug=True)
    with pytest.raises(ModelError):
        run_app(raising(ModelError("the model is broken")))
    with pytest.raises(ValueError, match="x"):
        run_app(raising(ValueError("x")))
    set_up(debug=False)
    assert ended(raising(ModelError("the model is broken"))) == 4


def test_debug_may_stand_before_or_behind_the_command() -> None:
    for words in (("--debug", "models", "verify", "no-such"), ("models", "verify", "no-such", "--debug")):
        with pytest.raises(ModelError):
            typed(*words)
        assert console._debug
        set_up(debug=False)
    done = typed("models", "verify", "no-such")
    assert done.code == 4
    assert done.err.startswith("error: ")


def test_each_command_has_the_general_options_in_a_panel_of_their_own() -> None:
    for words in ((), ("run",), ("models", "list")):
        done = typed(*words, "--help")
        assert done.code == 0
        head, _, panel = done.out.partition("General options")
        assert panel, words
        for option in ("--debug", "--version", "--help", "-h"):
            assert option in panel, words
            assert option not in head.replace("--help-", ""), words
        assert re.search(r"--debug +Show debug messages", panel), "a flag has no type"
        assert re.search(r"--help +-h +Show this message", panel), "nor has the help"
        assert typed(*words, "-h").out == done.out
        assert typed(*words, "--version").out.endswith(f"fer-edge {__version__}\n")


def test_a_group_without_a_command_shows_its_help() -> None:
    for words, text in (
        ((), "Facial expression recognition on small computers."),
        (("service",), "Show the state and the journal of the installed service"),
    ):
        done = typed(*words)
        assert done.code == 2
        assert text in done.out + done.err


def test_the_first_signal_asks_for_the_end_and_the_second_is_not_caught() -> None:
    stop, calls = StopSignals(), []
    stop.then(lambda: calls.append("stop"))
    assert (stop.requested, calls) == (False, [])
    os.kill(os.getpid(), signal.SIGTERM)
    assert (stop.requested, calls) == (True, ["stop"])
    assert {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)} == {signal.SIG_DFL}
    seconds, again = signal.getitimer(signal.ITIMER_REAL)
    assert 2 < seconds <= 3, "then whatever blocks is interrupted"
    assert again == 0
    stop.is_over()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGALRM)


def test_who_asks_later_is_told_at_once_and_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop, calls = StopSignals(), []
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGINT)
    stop.is_over()
    assert stop.requested
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    stop.then(lambda: calls.append("stop"))
    assert calls == ["stop"]


def test_each_usual_signal_is_caught() -> None:
    StopSignals()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert callable(signal.getsignal(number)), number


def test_an_output_without_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\x00\x00")
    done = typed("models", "list", "--json", tmp_path / "clip.mp4")
    assert done.code == 2
    assert done.err == (
        f"error: --json {tmp_path / 'clip.mp4'}: exists and holds something else than JSON. Choose another file\n"
    )
    target = tmp_path / "no" / "list.json"
    done = typed("models", "list", "--json", target)
    assert done.err == f"error: --json {target}: cannot be written (No such file or directory)\n"


@pytest.mark.parametrize("old", ["", "{}\n", "[1]\n"])
def test_an_empty_file_or_older_json_is_replaced(tmp_path: Path, old: str) -> None:
    target = tmp_path / "list.json"
    target.write_text(old)
    assert typed("models", "list", "--json", target).err == ""
    assert json.loads(target.read_text())[0]["problem"] == ""


def test_a_file_named_like_standard_output_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text("no JSON")
    for words in (("models", "list"), ("bench", "demo", "--frames", 1)):
        assert json.loads(typed(*words, "--json", "-").out), words
    assert (tmp_path / "-").read_text() == "no JSON"
