"""OpenCV's import, and names by which it opens any file."""

import os
import sys
from pathlib import Path

import cv2
import pytest

from fer_edge.errors import MissingDependency
from fer_edge.opencv import file_in_memory, readable_name, require_opencv, set_threads, writable_name

ODD = os.fsdecode(b"caf\xe9.png")


def test_it_tells_its_version_and_takes_a_number_of_threads() -> None:
    assert require_opencv() == cv2.__version__
    before = cv2.getNumThreads()
    try:
        set_threads(2)
        assert cv2.getNumThreads() == 2
        set_threads(1)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "OpenCV needs libGL.so.1. Fix: sudo apt install libgl1 libglib2.0-0",
        ),
        (
            "No module named 'cv2'",
            "OpenCV cannot be imported (No module named 'cv2'). Fix: pip install 'opencv-python>=4.11,<5'",
        ),
    ],
)
def test_what_is_missing_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str, said: str
) -> None:
    (tmp_path / "cv2.py").write_text(f"raise ImportError({problem!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2")
    for call in (require_opencv, lambda: set_threads(1)):
        with pytest.raises(MissingDependency) as missing:
            call()
        assert str(missing.value) == said
        assert isinstance(missing.value.__cause__, ImportError)


def test_a_file_has_its_own_name_where_that_is_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with readable_name(Path("café.png")) as name:
        assert name == str(tmp_path / "café.png")
    with writable_name(Path("café.png")) as name:
        assert name == str(tmp_path / "café.png")


def test_a_file_of_another_name_is_read_by_one_that_is_utf8_and_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / ODD).write_bytes(b"content")
    with readable_name(tmp_path / ODD) as name:
        name.encode()
        assert Path(name).read_bytes() == b"content"
        assert name.startswith(f"/proc/{os.getpid()}/fd/"), "it is valid in other processes too"
    assert not Path(name).exists()
    with pytest.raises(FileNotFoundError), readable_name(tmp_path / f"no-{ODD}"):
        pass


def test_a_file_of_another_name_is_written_by_one_with_the_same_suffix(tmp_path: Path) -> None:
    with writable_name(tmp_path / ODD) as name:
        name.encode()
        assert name.endswith(".png")
        Path(name).write_bytes(b"content")
    assert (tmp_path / ODD).read_bytes() == b"content"
    assert not Path(name).exists()


def test_content_that_is_in_no_file_has_a_name_for_a_while() -> None:
    with file_in_memory(b"content") as name:
        assert Path(name).read_bytes() == b"content"
    assert not Path(name).exists()
