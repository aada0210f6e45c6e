"""Files and folders are written whole or refused with the path and the reason."""

import shutil
from pathlib import Path

import pytest

from fer_edge.errors import ConfigError
from fer_train.files import make_folder, require_room, write_whole


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_told_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(ConfigError) as refused:
        write_whole(path, b"content")
    assert str(refused.value) == f"{path}: cannot be written (No such file or directory)"


def test_a_folder_is_made_with_those_above_it_and_may_exist(tmp_path: Path) -> None:
    path = tmp_path / "above" / "folder"
    make_folder(path)
    (path / "file").touch()
    make_folder(path)
    assert [inside.name for inside in path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "folder"
    with pytest.raises(ConfigError) as refused:
        make_folder(path)
    assert str(refused.value) == f"{path}: cannot be created (Not a directory)"


def test_a_disk_needs_a_tenth_and_a_megabyte_more_than_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {tmp_path: 23_000_000}
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 10**12 - free[folder], free[folder]))
    require_room(tmp_path, 20_000_000)
    free[tmp_path] = 22_400_000
    with pytest.raises(ConfigError) as refused:
        require_room(tmp_path, 20_000_000)
    assert str(refused.value) == f"{tmp_path}: 23 MB are needed, but only 22 are free"
