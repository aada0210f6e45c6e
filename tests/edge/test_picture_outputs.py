"""The copies and the table of still images, and the live line: from results that are made here."""

import io
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from tests.clock import Clock
from tests.screen import rows_of

from fer_edge.errors import ConfigError
from fer_edge.sinks import pictures, terminal
from fer_edge.sinks.pictures import AnnotatedPictures, PictureTable
from fer_edge.sinks.terminal import ChangeLog, LiveLine
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace


def result(
    name: str, *identities: int, size: tuple[int, int] = (64, 48), label: str = "happy", visible: bool = True
) -> FrameResult:
    """An image with these faces."""
    raw = Prediction(np.array([0.9, 0.1], np.float32), "angry", 0.9)
    read = Prediction(np.array([0.25, 0.75], np.float32), label, 0.75)
    faces = (
        TrackedFace(Track(number, FaceBox(1, 2, 30, 40.7), 9, 0, visible=visible), raw, read) for number in identities
    )
    return FrameResult(Frame(np.full((size[1], size[0], 3), 90, np.uint8), name=name), tuple(faces), {})


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The columns of the consoles, to be changed."""
    columns = [100]

    def console() -> Console:
        return Console(width=columns[0], force_terminal=True, color_system=None)

    monkeypatch.setattr(pictures, "output_console", console)
    monkeypatch.setattr(terminal, "console", console)
    return columns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of the live line."""
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    return clock


def written(*results: FrameResult, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The rows of the table of these results."""
    with PictureTable() as table:
        for one in results:
            table.emit(one)
        assert not capsys.readouterr().out, "it comes when all images are done"
    return rows_of(capsys.readouterr().out)


@pytest.mark.usefixtures("width")
def test_a_table_has_a_row_per_face_and_one_for_an_image_without(capsys: pytest.CaptureFixture[str]) -> None:
    shown = written(result("[b]a\n.png", 3, 4, label="[red]"), result("b.png"), capsys=capsys)
    assert shown == [
        ["picture", "face", "expression", "confidence", "x, y, width, height"],
        ["[b]a\\n.png", "#3", "[red]", "75%", "1, 2, 30, 41"],
        ["[b]a\\n.png", "#4", "[red]", "75%", "1, 2, 30, 41"],
        ["b.png", "", "nobody", "", ""],
    ]
    assert written(capsys=capsys) == [], "no image, no table"


def test_a_narrow_table_leaves_out_the_places_first(width: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """The other columns and the lines take 59 columns with the places, and 37 without."""
    one = result("a-name-of-two-and-twenty.png", 1)
    for width[0], columns, name in (
        (87, 5, "a-name-of-two-and-twenty.png"),
        (86, 5, "a-name-of-two…nd-twenty.png"),
        (75, 5, "a-name-o…nty.png"),
        (74, 4, "a-name-of-two-and-twenty.png"),
        (53, 4, "a-name-o…nty.png"),
    ):
        headings, row = written(one, capsys=capsys)
        assert len(headings) == len(row) == columns, width[0]
        assert row[0] == name, width[0]
        assert row[3] == "75%"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("a-long-beginning-1-the-same-end.png", "a-long-beginning-2-the-same-end.png"), None),
        (("1-a-different-beginning-and-one-end.png", "2-a-different-beginning-and-one-end.png"), None),
        (("a-beginning-and-a-different-end-1.png", "a-beginning-and-a-different-end-2.png"), None),
        (("short.png", "a-name-that-is-much-too-long.png"), ("short.png", "a-name-t…ong.png")),
    ],
)
def test_shortened_names_do_not_look_the_same(
    width: list[int], capsys: pytest.CaptureFixture[str], names: tuple[str, str], shown: tuple[str, str] | None
) -> None:
    width[0] = 53
    cells = [row[0] for row in written(*(result(name, 1) for name in names), capsys=capsys)[1:]]
    assert len(set(cells)) == 2
    for cell, name in zip(cells, names, strict=True):
        assert len(cell) <= 16
        parts = cell.split("…")
        assert len(parts) > 1 or cell == name
        assert name.endswith(parts[-1])
        assert all(part in name for part in parts)
    if shown:
        assert tuple(cells) == shown


@pytest.mark.parametrize(
    ("name", "copied"),
    [
        ("a.png", "a.annotated.png"),
        ("A.JPEG", "A.annotated.JPEG"),
        ("sub/a.webp", "sub/a.annotated.webp"),
        ("a.gif", "a.gif.annotated.jpg"),
        ("a", "a.annotated.jpg"),
        ("x" * 241 + ".png", "x" * 241 + ".annotated.png"),
    ],
)
def test_a_copy_stands_where_the_image_stood(tmp_path: Path, name: str, copied: str) -> None:
    out = tmp_path / "new" / "out"
    with AnnotatedPictures(out) as copies:
        assert copies.description == str(out)
        copies.emit(result(name, 1))
    assert [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()] == [copied]
    assert cv2.imread(str(out / copied)) is not None


def test_names_that_are_too_long_are_cut_and_stay_different(tmp_path: Path) -> None:
    ends = ("a", "b")
    with AnnotatedPictures(tmp_path) as copies:
        for end in ends:
            copies.emit(result("ü" * 120 + end + "-22-33.png", 1))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    for name in names:
        assert 254 <= len(name.encode()) <= 255
        assert name.startswith("ü" * 115)
        assert name.endswith(".annotated.png")


@pytest.mark.parametrize(
    ("size", "copied"),
    [((64, 48), (640, 480)), ((1000, 470), (1021, 480)), ((800, 480), (800, 480)), ((2000, 4), (2000, 4))],
)
def test_a_small_image_is_enlarged_to_480_rows(tmp_path: Path, size: tuple[int, int], copied: tuple[int, int]) -> None:
    with AnnotatedPictures(tmp_path) as copies:
        copies.emit(result("a.png", size=size))
    image = cv2.imread(str(tmp_path / "a.annotated.png"))
    assert image is not None
    assert (image.shape[1], image.shape[0]) == copied


def test_a_folder_that_cannot_be_created_is_named_and_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as raised, AnnotatedPictures(tmp_path / "file" / "out"):
        pass
    assert str(raised.value) == f"'{tmp_path}/file/out': cannot be created (Not a directory)"
    (tmp_path / "a.annotated.png" / "full").mkdir(parents=True)
    with AnnotatedPictures(tmp_path) as copies, pytest.raises(OSError, match="directory"):
        copies.emit(result("a.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.annotated.png", "file"]


@pytest.mark.usefixtures("width")
def test_the_live_line_tells_the_rate_and_who_is_there(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with LiveLine(None) as line:
        assert line.description == "the terminal"
        line.emit(result("", 1))
        assert "nobody" not in capsys.readouterr().out
        for _ in range(3):
            clock.sleep(0.03)
            line.emit(result("", 1))
        assert not capsys.readouterr().out, "it is drawn ten times per second"
        clock.sleep(0.01)
        line.emit(result("", 1, 2, label="h\n"))
        assert " 40.0 fps  #1 h\\n 75%, #2 h\\n 75%" in capsys.readouterr().out
        clock.sleep(0.2)
        line.emit(result("", 1, visible=False))
        assert "  5.0 fps  nobody" in capsys.readouterr().out
    assert "fps" not in capsys.readouterr().out


@pytest.mark.usefixtures("width")
def test_the_bar_counts_the_frames_and_stays(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with LiveLine(12) as line:
        assert "starting" in capsys.readouterr().out
        for _ in range(7):
            line.emit(result("", 1))
        clock.sleep(0.125)
        line.emit(result("", 1))
        assert " 8/12 " in capsys.readouterr().out
        line.emit(result("", 1))
    last = capsys.readouterr().out
    assert " 9/12 " in last
    assert "happy" not in last.rpartition("9/12")[2]


def test_a_terminal_that_is_gone_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        is_gone = False

        def flush(self) -> None:
            if self.is_gone:
                raise OSError(5, "Input/output error")

    out = Gone()
    monkeypatch.setattr(terminal, "console", lambda: Console(file=out, force_terminal=True))
    with LiveLine(None) as line:
        line.emit(result("", 1))
        out.is_gone = True
    assert out.getvalue()


def test_the_log_tells_changes_alone(caplog: pytest.LogCaptureFixture) -> None:
    log = ChangeLog()
    assert log.description == "the log"
    with caplog.at_level(logging.INFO, "fer_edge"):
        for one in (
            result(""),
            result("", 1, 2),
            result("", 1, 2),
            result("", 1, label="sad"),
            result("", 1, visible=False),
            result(""),
        ):
            log.emit(one)
    assert caplog.messages == ["#1 happy, #2 happy", "#1 sad", "nobody"]
