"""A crash at any step of any command leaves a repository that devices accept, and the command works the next time."""

import os
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.fleet_repository import PASSPHRASE, Operator

from fer_edge.errors import ConfigError
from fer_edge.model.bundle import load_bundle
from fer_fleet import edits, operations
from fer_fleet.cli.options import now
from fer_fleet.creation import DEFAULT_SIGNERS, create
from fer_fleet.files import locked, write
from fer_fleet.gate import Gated
from fer_fleet.keys import Keys
from fer_fleet.repository import DEFAULT_DAYS, Repository
from fer_fleet.rotation import rotate
from fer_fleet.verification import verify

MODEL = "ferplus7-tiny"
# What a process does to files, by the names of Python's audit events.
_STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}
_READS = os.O_RDONLY | os.O_CLOEXEC
_KILLED = 137

Command = Callable[[Path], None]


def keys_of(folder: Path) -> Keys:
    return Keys([folder.with_name("repo.keys")], lambda _: PASSPHRASE)


def crash_at(step: int, folder: Path, command: Command) -> bool:
    """Run a command in a process that dies before its given change of files; return whether it lived to the end."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != _KILLED
    left = step

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        changes = event in _STEPS and not (event == "open" and arguments[2] in {_READS, os.O_RDONLY})
        begun = isinstance(arguments[0], int)  # a file was opened, and nothing is in it yet
        if changes and (begun or str(arguments[0]).startswith(str(folder.parent))):
            left -= 1
            if left < 0:
                os._exit(_KILLED)

    sys.addaudithook(watch)
    try:
        command(folder)
    finally:
        os._exit(0)


def publish(folder: Path) -> None:
    gated = Gated(load_bundle(folder.with_name(f"bundle-{MODEL}-0.2.0")), None)
    operations.publish(folder, keys_of(folder), gated, "stable", 10, None, now())


def roll_out(folder: Path) -> None:
    operations.change(folder, keys_of(folder), lambda old: edits.roll_out(old, MODEL, "0.1.0", "stable", 50), now())


def refresh(folder: Path) -> None:
    operations.refresh(folder, keys_of(folder), now() + timedelta(days=20), offline=True)


def rotating(*names: str) -> Command:
    return lambda folder: void(rotate(folder, names, [], keys_of(folder), PASSPHRASE, now()))


def void(_: object) -> None:
    pass


slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(publish, id="publish"),
        pytest.param(rotating("targets", "snapshot", "timestamp"), id="three roles"),
        slow(roll_out, id="rollout"),
        slow(refresh, id="refresh"),
        *(slow(rotating(name), id=name) for name in ("root", "targets", "snapshot", "timestamp")),
    ],
)
def test_a_crash_at_every_step(operator: Operator, command: Command) -> None:
    operator.do("publish", operator.bundle("0.1.0"), "--channel", "stable")
    operator.bundle("0.2.0")
    whole = operator.folder / "whole"
    shutil.copytree(operator.repo, whole / "repo")
    shutil.copytree(operator.keys, whole / "repo.keys")
    step, done = 0, False
    while not done:
        for path in (operator.repo, operator.keys):
            shutil.rmtree(path)
            shutil.copytree(whole / path.name, path)
        done = crash_at(step, operator.repo, command)
        verify(operator.repo)
        Repository(operator.repo)
        step += 1
        if not done:
            command(operator.repo)
            verify(operator.repo)
            assert Repository(operator.repo).is_current()
    assert step > 10


@pytest.mark.slow
def test_a_crash_while_a_repository_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "repo"

    def make(folder: Path) -> None:
        create(folder, folder.with_name("repo.keys"), PASSPHRASE, DEFAULT_DAYS, DEFAULT_SIGNERS, now())

    step, done = 0, False
    while not done:
        done = crash_at(step, folder, make)
        if folder.exists():
            verify(folder)
            assert keys_of(folder).holds(Repository(folder).role("root"))
        step += 1
        if not done and not folder.exists() and not folder.with_name("repo.keys").exists():
            make(folder)
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
    assert step > 10


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    write(small_disk / "file", b"old")
    with pytest.raises(ConfigError, match=r"file: cannot be written \(No space left on device\)"):
        write(small_disk / "file", b"x" * 4_000_000)
    assert [path.read_bytes() for path in small_disk.iterdir()] == [b"old"]


def test_two_at_once(operator: Operator) -> None:
    with locked(operator.repo):
        done = operator.run("publish", operator.bundle("0.2.0"))
    assert (done.code, done.err) == (
        2,
        f"error: {operator.repo}: another fer-fleet is changing it. Wait until it is done\n",
    )
    operator.do("publish", operator.folder / f"bundle-{MODEL}-0.2.0")
