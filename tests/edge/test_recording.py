"""How a recording keeps time: read back from the video that it wrote."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.sinks.recording import Recording
from fer_edge.types import Frame, FrameResult

FPS = 10.0


def result(at: float, grey: int, *, live: bool) -> FrameResult:
    image = np.full((64, 96, 3), grey, np.uint8)
    return FrameResult(Frame(image, at, live=live), (), {})


def read_levels(path: Path) -> list[float]:
    capture, levels = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        levels.append(float(read[1].mean()))
    return levels


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_camera_that_was_away_leaves_two_seconds_and_the_rest_keeps_its_time(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    before, after = [index / FPS for index in range(10)], [1000 + index / FPS for index in range(10)]
    with Recording(out, FPS) as recording:
        for at in before:
            recording.emit(result(at, 60, live=True))
        for at in after:
            recording.emit(result(at, 180, live=True))
    levels = read_levels(out)
    dark = sum(level < 120 for level in levels)
    assert dark == 10 + 19, "its own frames, and two seconds of the last one less the one that follows"
    assert len(levels) - dark == 10, "what comes after is not repeated too"
    assert levels[dark:] == pytest.approx([180] * 10, abs=6)


def test_slow_frames_are_repeated_and_quick_ones_left_out(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with Recording(out, FPS) as recording:
        for index in range(5):
            recording.emit(result(index / 5, 40 * index + 40, live=True))  # half the rate
        for index in range(1, 11):
            recording.emit(result(0.8 + index / 50, 240, live=True))  # five times the rate
    levels = read_levels(out)
    assert levels[:9] == pytest.approx([40, 40, 80, 80, 120, 120, 160, 160, 200], abs=8)
    assert levels[9:] == pytest.approx([240] * 2, abs=8)
