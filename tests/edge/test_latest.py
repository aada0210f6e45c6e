"""What the last update found is written for those who show it; that it cannot be written or read stops nobody."""

import os
from pathlib import Path

import pytest

from fer_edge.updates.latest import Latest, read_latest, write_latest

FOUND = Latest("mine", "1", "2", "mine 2 is meant for this device.", 1_780_000_000.5)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of installed models, which is not there yet."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "state" / "models"))
    return tmp_path / "state" / "models"


def test_what_was_found_is_read_again(folder: Path, tmp_path: Path) -> None:
    assert read_latest() is None
    write_latest(FOUND, folder)
    assert read_latest() == FOUND
    newer = Latest("mine", "2", "2", "Nothing newer is offered.", 1_780_000_060.0)
    write_latest(newer, folder)
    assert read_latest() == read_latest(folder) == newer
    assert read_latest(tmp_path) is None, "another folder"


def test_everybody_may_read_it_whatever_the_umask_says(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        write_latest(FOUND, folder)
    finally:
        os.umask(before)
    assert (folder / "latest.json").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in folder.iterdir()] == ["latest.json"]


def test_a_folder_that_cannot_be_written_stops_nobody(folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    write_latest(FOUND, folder)
    assert read_latest() is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[1]", b"3", b'{"name": "mine"}', b'{"name": "mine", "other": 1}']
)
def test_what_is_damaged_is_as_if_there_were_nothing(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "latest.json").write_bytes(content)
    assert read_latest() is None


def test_it_belongs_to_the_owner_of_the_models(open_path: Path) -> None:
    """Root writes it with no more rights than the updater has, whose folder it is."""
    if os.geteuid() != 0:
        pytest.skip("only root acts as another user")
    folder = open_path / "models"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    write_latest(FOUND, folder)
    assert (folder / "latest.json").stat().st_uid == 65534
    assert read_latest(folder) == FOUND
    (folder / "latest.json").unlink()
    os.chown(folder, 0, 0)
    write_latest(FOUND, folder)
    assert (folder / "latest.json").stat().st_uid == 0
