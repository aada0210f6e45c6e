"""The output folder of a training: what it may be, what is told when it cannot be used, and what resumes in it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fer_edge.errors import ConfigError
from fer_train.files import make_folder, require_new_folder, require_room, write_whole
from fer_train.runs.resume import check, claim, compare

RECORD: dict[str, Any] = {
    "recipe": {"labels": "ferplus7"},
    "precision": "float32",
    "teachers": ["a"],
    "init": None,
    "data": {"images": 3},
}


def test_a_folder_is_made_with_its_parents_and_again_without_complaint(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    make_folder(folder)
    make_folder(folder)
    assert folder.is_dir()


def test_a_folder_or_a_file_below_a_file_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/a: cannot be created \(.*[Nn]ot a directory.*\)$"):
        make_folder(tmp_path / "file" / "a")
    with pytest.raises(ConfigError, match=r"file/b: cannot be written \(.*[Nn]ot a directory.*\)$"):
        write_whole(tmp_path / "file" / "b", b"")


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"one\ntwo")
    assert (tmp_path / "file").read_bytes() == b"one\ntwo"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_needs_its_size_a_tenth_and_a_megabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def of(folder: Path) -> SimpleNamespace:
        asked.append(folder)
        return SimpleNamespace(free=12_000_000)

    monkeypatch.setattr(shutil, "disk_usage", of)
    require_room(tmp_path, 10_000_000)
    assert asked == [tmp_path]
    with pytest.raises(ConfigError) as refused:
        require_room(tmp_path, 20_000_000)
    assert str(refused.value) == f"{tmp_path}: 23 MB are needed, but only 12 are free"
    with pytest.raises(ConfigError):
        require_room(tmp_path, 10_100_000)


def test_a_new_folder_is_missing_or_empty(tmp_path: Path) -> None:
    require_new_folder(tmp_path / "missing")
    require_new_folder(tmp_path)
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(ConfigError) as refused:
            require_new_folder(path)
        assert str(refused.value) == f"{path}: is not an empty folder. Choose another"


def test_only_an_unfinished_training_can_be_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    check(run, resume=False)
    with pytest.raises(ConfigError) as refused:
        check(run, resume=True)
    assert str(refused.value) == f"{run}: no unfinished training to resume. Remove --resume"
    claim(run, RECORD)
    check(run, resume=True)
    with pytest.raises(ConfigError) as refused:
        check(run, resume=False)
    told = f"{run}: is not an empty folder. Choose another, or --resume an unfinished training"
    assert str(refused.value) == told


def test_a_training_is_resumed_as_it_was_started(tmp_path: Path) -> None:
    claim(tmp_path / "deep" / "run", RECORD)
    (written,) = (tmp_path / "deep" / "run" / "unfinished").iterdir()
    assert written.name == "record.json"
    assert written.read_text().startswith('{\n  "recipe"'), "people read it"
    compare(tmp_path / "deep" / "run", RECORD)


@pytest.mark.parametrize(
    ("part", "named"),
    [("recipe", "recipe"), ("precision", "precision"), ("teachers", "teacher"), ("init", "init"), ("data", "data")],
)
def test_another_start_is_told_by_what_differs(tmp_path: Path, part: str, named: str) -> None:
    claim(tmp_path, RECORD)
    with pytest.raises(ConfigError) as refused:
        compare(tmp_path, RECORD | {part: "other"})
    told = f"{tmp_path}: was started with another {named}. Resume with the same options and data"
    assert str(refused.value) == told


@pytest.mark.parametrize("content", [b"{", b"\xff"])
def test_a_damaged_record_is_told_by_its_path(tmp_path: Path, content: bytes) -> None:
    claim(tmp_path, RECORD)
    marker = tmp_path / "unfinished" / "record.json"
    marker.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        compare(tmp_path, RECORD)
    assert str(refused.value) == f"{marker}: is damaged. Remove the folder and train again"


def test_a_record_that_is_no_object_is_that_of_another_training(tmp_path: Path) -> None:
    claim(tmp_path, RECORD)
    (tmp_path / "unfinished" / "record.json").write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match="was started with another recipe"):
        compare(tmp_path, RECORD)
