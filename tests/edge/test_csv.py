"""One row per face, as a spreadsheet reads it; and the table that a person reads."""

import csv
import json
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run
from tests.screen import run_in_terminal

from fer_edge.config import JsonLinesConfig
from fer_edge.errors import ConfigError
from fer_edge.labels import FER2013
from fer_edge.sinks.csv_file import CsvFile
from fer_edge.sinks.jsonl import JsonLines
from fer_edge.sources.demo import DemoSource
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace

FER_EDGE = Path(sys.executable).with_name("fer-edge")
LONG = "IMG_20240101_120000_Rom_{}_in_full_size_and_edited_a_second_time_0001.png"


@pytest.fixture
def face(tmp_path: Path) -> Path:
    with DemoSource(paced=False) as demo:
        image = next(iter(demo)).image
    cv2.imwrite(str(tmp_path / "face.png"), image)
    return tmp_path / "face.png"


@pytest.fixture
def album(face: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    shutil.copy(face, folder / "a\nerror: forged\x1b[31m.png")
    shutil.copy(face, folder / "写真, and “more”.png")
    cv2.imwrite(str(folder / "nobody.png"), cv2.imread(str(face))[:100, :100])  # type: ignore[index]
    return folder


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_gives_a_row_per_face(command: Run, album: Path, tmp_path: Path) -> None:
    done = command("fer-edge", "run", album, "--csv", tmp_path / "faces.csv", "--json", tmp_path / "faces.jsonl")
    assert done.returncode == 0, done.stderr
    table = read_table(tmp_path / "faces.csv")
    assert [row["file"] for row in table] == ["a\\nerror: forged\\x1b[31m.png", "写真, and “more”.png"], (
        "nobody: no row"
    )
    lines = [json.loads(line) for line in (tmp_path / "faces.jsonl").read_text().splitlines()]
    seen = {line["frame"]: line["faces"][0] for line in lines if line["faces"]}
    for row in table:
        face = seen[int(row["frame"])]
        assert int(row["id"]) == face["id"]
        assert [float(row[side]) for side in ("x", "y", "width", "height")] == face["box"]
        assert (row["label"], float(row["confidence"]), int(row["id"])) == (
            face["label"],
            face["confidence"],
            face["id"],
        )
        assert [float(row[label]) for label in FER2013] == face["smoothed"]
    assert {line["file"] for line in lines} == {path.name for path in album.iterdir()}


def test_a_row_and_a_line_hold_each_value_in_its_place(tmp_path: Path) -> None:
    """Of a face whose raw and smoothed labels differ, and of one that is hidden at the moment."""
    raw, smoothed = (
        Prediction(np.array(shares, np.float32), label, max(shares))
        for label, shares in (("happy", (0.7, 0.3)), ("sad", (0.4, 0.6)))
    )
    box = FaceBox(10.04, 20, 30, 40, score=0.8765)
    face = TrackedFace(Track(3, box, age_s=9.0, missed_s=0.25), raw, smoothed)
    hidden = replace(face, track=replace(face.track, id=4, visible=False))
    image = np.zeros((4, 4, 3), np.uint8)
    first, second = Frame(image, 100.0, 5), Frame(image, 101.5, 7)
    still = Frame(image, 110.0, 8, still=True, name="a.png")
    table, lines = tmp_path / "faces.csv", tmp_path / "faces.jsonl"
    with CsvFile(str(table), "the film", ("happy", "sad")) as rows, JsonLines(str(lines), JsonLinesConfig()) as output:
        for frame in (first, second, still):
            result = FrameResult(frame, () if frame is first else (face, hidden), {"detect": 1.23456})
            rows.emit(result)
            output.emit(result)
    values = "3,10.0,20.0,30.0,40.0,0.876,sad,0.6,0.4,0.6"
    assert table.read_text().splitlines()[1:] == [f"the film,7,1.5,{values}", f"a.png,8,,{values}"]
    line = json.loads(lines.read_text().splitlines()[1])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))) < timedelta(minutes=30)
    assert [told.pop("visible") for told in line["faces"]] == [True, False]
    assert [told.pop("id") for told in line["faces"]] == [3, 4]
    told = {"box": [10.0, 20.0, 30.0, 40.0], "score": 0.876, "missed_s": 0.25, "label": "sad", "confidence": 0.6}
    told |= {"raw": [0.7, 0.3], "smoothed": [0.4, 0.6]}
    assert line == {"frame": 7, "elapsed_s": 1.5, "faces": [told, told], "timings_ms": {"detect": 1.235}}


def test_a_video_gives_rows_on_standard_output(command: Run, demo_video: Path) -> None:
    done = command("fer-edge", "run", demo_video, "--csv", "-")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) > 80
    assert {row["file"] for row in rows} == {str(demo_video)}
    assert float(rows[-1]["elapsed_s"]) == pytest.approx(int(rows[-1]["frame"]) / 30, abs=0.002)
    assert done.stderr.count("\n") == 1, "the summary alone: rows take the place of the log"


@pytest.mark.parametrize(
    ("content", "is_refused"),
    [
        ("", False),
        ("file,frame,elapsed_s,of an older run\n1\n", False),
        ("file,frame", True),
        ("faces of a person\n", True),
    ],
)
def test_what_a_table_may_replace(tmp_path: Path, content: str, is_refused: bool) -> None:
    path = tmp_path / "faces.csv"
    path.write_text(content)
    if is_refused:
        with pytest.raises(ConfigError) as refusal, CsvFile(str(path), "demo", FER2013):
            pass
        assert str(refusal.value) == (
            f"--csv {path}: exists and holds something else than such a table. Choose another file"
        )
    else:
        with CsvFile(str(path), "demo", FER2013):
            pass
    assert path.read_text() == content, "it stays until there is a row"


def test_a_table_replaces_a_table_and_nothing_else(command: Run, album: Path, demo_video: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copy(demo_video, tmp_path / "clip.mp4"))
    refused = command("fer-edge", "run", album, "--csv", clip)
    assert refused.returncode == 2
    assert "holds something else" in refused.stderr
    assert clip.read_bytes() == demo_video.read_bytes()
    target = tmp_path / "faces.csv"
    target.write_text("file,frame,elapsed_s,of an older run\n")
    assert command("fer-edge", "run", album, "--csv", target).returncode == 0
    assert len(read_table(target)) == 2
    both = command("fer-edge", "run", album, "--csv", "-", "--json", "-")
    assert both.returncode == 2
    assert "both go to standard output" in both.stderr


def test_names_are_whole_in_a_pipe_and_differ_in_a_terminal(command: Run, face: Path, tmp_path: Path) -> None:
    folder = tmp_path / "phones"
    folder.mkdir()
    names = [LONG.format("Pixel"), LONG.format("iPhone")]
    for name in names:
        shutil.copy(face, folder / name)
    piped = command("fer-edge", "run", folder)
    assert all(f"│ {name} " in piped.stdout for name in names)
    code, screen = run_in_terminal([FER_EDGE, "run", folder], columns=120)
    assert code == 0
    shown = [line for line in screen.lines if "happy" in line and line.startswith("│")]
    cut = [line.split("│")[1].strip() for line in shown]
    assert [(name[:8], name[-9:]) for name in cut] == 2 * [("IMG_2024", "_0001.png")]
    assert "…" in cut[0]
    assert cut[0] != cut[1], "two names must not read alike"
    for columns in (90, 60):
        code, screen = run_in_terminal([FER_EDGE, "run", folder], columns=columns)
        narrow = [line.split("│")[1].strip() for line in screen.lines if line.startswith("│")]
        assert len(narrow) == 2, "a name is one line"
        assert narrow[0] != narrow[1], "it is cut where two names still differ"
        assert any("x, y, width, height" in line for line in screen.lines) == (columns == 90)


@pytest.mark.slow
def test_output_in_latin1_is_whole(command: Run, album: Path, latin1: dict[str, str], tmp_path: Path) -> None:
    for arguments in (
        [],
        ["--csv", tmp_path / "x.csv"],
        ["--json", tmp_path / "x.jsonl"],
        ["--record", tmp_path / "写"],
    ):
        done = command("fer-edge", "run", album, *arguments, env=latin1)
        assert done.returncode == 0, done.stderr
    assert "写真, and “more”.png" in (tmp_path / "x.csv").read_text(encoding="utf-8")
    assert "写真, and “more”.png" in {json.loads(line)["file"] for line in (tmp_path / "x.jsonl").open()}
    assert (tmp_path / "写" / "写真, and “more”.annotated.png").is_file()


def test_log_lines_hold_no_control_characters(command: Run, album: Path) -> None:
    (album / "b\nerror: forged\x1b[31m.png").write_bytes(b"no picture")
    done = command("fer-edge", "run", album)
    assert done.returncode == 0
    assert "forged\\x1b[31m.png: is not a readable image: skipped" in done.stderr
    assert "\x1b" not in done.stderr
    assert not any(line.startswith("error: forged") for line in done.stderr.splitlines())
