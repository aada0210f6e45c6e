"""Files that are replaced whole: the old one or the new one is there, with the right permissions, at any time."""

import os
from pathlib import Path

import pytest

from fer_edge.files import replace_file, sync_folder


def test_the_new_content_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old and long")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(("umask", "permissions"), [(0o022, 0o644), (0o077, 0o600)])
def test_without_a_mode_the_umask_decides(tmp_path: Path, umask: int, permissions: int) -> None:
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "state.json", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == permissions


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_mode_holds_from_the_first_moment_and_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """A password must not be readable for others, not even while it is written."""
    first: list[int] = []
    usual = os.fchmod

    def fchmod(file: int, permissions: int) -> None:
        first.append(os.fstat(file).st_mode & 0o777)
        usual(file, permissions)

    monkeypatch.setattr(os, "fchmod", fchmod)
    before = os.umask(0o022)
    try:
        replace_file(tmp_path / "secret", b"x", mode)
    finally:
        os.umask(before)
    assert first == [mode & ~0o022]
    assert (tmp_path / "secret").stat().st_mode & 0o777 == mode


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    """Who may write to the folder must not choose what another user overwrites."""
    other = tmp_path / "other"
    other.write_bytes(b"of another")
    (tmp_path / ".new-state.json").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        replace_file(tmp_path / "state.json", b"x")
    assert other.read_bytes() == b"of another"
    assert not (tmp_path / "state.json").exists()


def test_the_old_file_stays_if_the_new_one_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_system_that_cannot_sync_folders_is_left_alone_but_a_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own /proc is one that cannot."""

    def broken(_folder: int) -> None:
        raise OSError(5, "Input/output error")

    sync_folder(Path("/proc"))
    before = len([*Path("/proc/self/fd").iterdir()])
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
