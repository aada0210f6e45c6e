"""What `fer-train crop` says of the photographs."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.screen import make_narrow_terminal, rows_of

from fer_edge.labels import FER2013
from fer_train.explore.crop import Photograph
from fer_train.explore.crop_report import print_photographs, with_progress

FACE = np.zeros((48, 48), np.uint8)
FOUND = (
    Photograph(Path("sad/a.jpg"), "sad", "1", "one face", FACE, "train"),
    Photograph(Path("sad/b.jpg"), "sad", "2", "one face", FACE, "train"),
    Photograph(Path("sad/c.jpg"), "sad", "3", "several faces", FACE, "validation"),
    Photograph(Path("sad/d.jpg"), "sad", "4", "no face"),
    Photograph(Path("happy/[1].jpg"), "happy", "", "cannot be read"),
    Photograph(Path(f"happy/{'long' * 60}.jpg"), "happy", "1", "twice"),
    Photograph(Path("happy/e.jpg"), "happy", "5", "twice"),
)


def test_the_table_counts_the_photographs_of_each_class_by_split_and_finding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_photographs(FOUND)
    text = capsys.readouterr().out
    assert text.splitlines()[0].strip() == "faces"
    lines = [line.replace("┃", "│").strip("│").split("│") for line in text.splitlines() if line[:1] in {"│", "┃"}]
    rows = rows_of(text)
    assert rows[0] == ["class", "photos", "train", "validation", "several", "no face", "broken", "twice"]
    assert [row[0] for row in rows[1:]] == list(FER2013)
    counts = {row[0]: [int(cell) for cell in row[1:]] for row in rows[1:]}
    assert counts["sad"] == [4, 2, 1, 1, 1, 0, 0]
    assert counts["happy"] == [3, 0, 0, 0, 0, 1, 2]
    assert counts["fear"] == [0] * 7
    assert all(line[0].startswith(" ") and not line[0].startswith("  ") for line in lines), "classes on the left"
    assert all(line[-1].endswith(f"{line[-1].strip()} ") for line in lines), "numbers on the right"


def test_photographs_without_exactly_one_face_are_named_one_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_photographs(FOUND)
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if ".jpg" in line] == [
        "sad/c.jpg: several faces, the largest is used",
        "sad/d.jpg: no face",
        "happy/[1].jpg: cannot be read",
        f"happy/{'long' * 60}.jpg: twice",
        "happy/e.jpg: twice",
    ]


def test_a_narrow_terminal_breaks_and_colours_no_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_narrow_terminal(monkeypatch)
    print_photographs(FOUND)
    lines = capsys.readouterr().out.splitlines()
    assert "sad/c.jpg: several faces, the largest is used" in lines
    assert f"happy/{'long' * 60}.jpg: twice" in lines


def test_the_progress_gives_each_photograph_once_and_says_nothing_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [Path("a"), Path("b")]
    assert list(with_progress(paths)) == paths
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_the_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(with_progress([Path("a")])) == [Path("a")]
    told = capsys.readouterr()
    assert told.out == ""
    assert "finding faces" in told.err
