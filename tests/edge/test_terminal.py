"""What a person sees in a terminal: the log, the live line and the bar never run into each other."""

import sys
from pathlib import Path

import cv2
import numpy as np
from tests.screen import run_in_terminal

from fer_edge.assets.composites import load_composites

FER_EDGE = Path(sys.executable).with_name("fer-edge")


def test_a_videos_bar_ends_full_and_the_summary_has_its_own_line(demo_video: Path) -> None:
    code, screen = run_in_terminal([FER_EDGE, "run", demo_video], columns=160)
    bar, summary = screen.lines
    assert code == 0
    assert bar.startswith("━")
    assert " 90/90 " in bar
    assert summary.startswith(f"{demo_video}: 90 frames in ")
    assert not screen.cursor_hidden


def test_a_bar_that_is_cut_short_says_how_many_frames_there_were_to_be(demo_video: Path) -> None:
    code, screen = run_in_terminal([FER_EDGE, "run", demo_video, "--max-frames", "20"], columns=160)
    assert code == 0
    assert " 20/20 " in screen.lines[0]
    assert len(screen.lines) == 2


def test_a_warning_during_a_run_is_a_line_above_the_bar(demo_video: Path) -> None:
    code, screen = run_in_terminal([FER_EDGE, "run", demo_video, "--json", "/dev/full"], columns=160)
    warning, bar, summary, error = screen.lines
    assert code == 2
    assert warning == "/dev/full fails: No space left on device"
    assert " 90/90 " in bar
    assert summary.startswith(f"{demo_video}: 90 frames")
    assert error == "error: /dev/full: 90 of 90 frames could not be written"


def test_a_long_line_is_not_cut_in_a_narrow_terminal(demo_video: Path) -> None:
    code, screen = run_in_terminal([FER_EDGE, "run", demo_video, "--json", "/dev/full"], columns=40)
    assert code == 2
    assert "/dev/full fails: No space left on device" in screen.lines
    whole = "".join(screen.lines).replace(" ", "")  # a line's end may have been a space
    assert whole.endswith("error:/dev/full:90of90framescouldnotbewritten")


def test_ctrl_c_leaves_the_summary_alone() -> None:
    seen: list[list[str]] = []

    def is_at_work(lines: list[str]) -> bool:
        seen.append(lines)
        return any("fps  #1 happy" in line for line in lines)

    code, screen = run_in_terminal([FER_EDGE, "run", "demo"], ctrl_c_when=is_at_work, columns=160)
    assert code == 0
    assert [line.startswith("the built-in demo: ") for line in screen.lines] == [True]
    assert len(seen[-1]) == 1
    assert not screen.cursor_hidden


def test_ctrl_c_leaves_a_bar_where_it_was() -> None:
    code, screen = run_in_terminal(
        [FER_EDGE, "run", "demo", "--max-frames", "5000"],
        ctrl_c_when=lambda lines: any("#1 happy" in line for line in lines),
        columns=160,
    )
    bar, summary = screen.lines
    done = int(summary.removeprefix("the built-in demo: ").partition(" ")[0])
    assert code == 0
    assert 0 < done < 5000
    assert f" {done}/5000 " in bar


def test_json_lines_have_the_terminal_for_themselves(demo_video: Path) -> None:
    code, screen = run_in_terminal([FER_EDGE, "run", demo_video, "--json", "-"], columns=160)
    assert code == 0
    assert screen.lines[-1].startswith(f"{demo_video}: 90 frames")
    assert not any("━" in line for line in screen.lines)


def test_json_lines_in_a_file_leave_the_terminal_to_the_bar(demo_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, screen = run_in_terminal(["/bin/sh", "-c", f"{FER_EDGE} run {demo_video} --json - > {out}"], columns=160)
    bar, summary = screen.lines
    assert code == 0
    assert " 90/90 " in bar
    assert summary.startswith(f"{demo_video}: 90 frames")
    assert len(out.read_text().splitlines()) == 90


def test_pictures_give_a_bar_a_table_and_the_summary(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(tmp_path / name), np.pad(load_composites()["happy"], 60, mode="edge"))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    code, screen = run_in_terminal([FER_EDGE, "run", tmp_path], columns=160)
    lines = screen.lines
    assert code == 0
    assert "broken.png" in lines[0]
    assert " 2/" in lines[1]
    assert lines[2].startswith("┏")
    summary = next(index for index, line in enumerate(lines) if line.startswith(f"{tmp_path}: 2 frames"))
    assert lines[summary - 1].startswith("└")
    assert len(lines) - summary <= 2, "of a long path the summary goes on in the next line"
