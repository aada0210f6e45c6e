"""The screen, for real: an X server, a window manager, keys and screenshots."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from tests.clock import Clock
from tests.conftest import Run, wait_until

from fer_edge.config import RunConfig, ScreenConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sinks import StopRun
from fer_edge.sinks.display import Display
from fer_edge.sinks.overlay import draw
from fer_edge.sources.demo import DemoSource
from fer_edge.types import FrameResult, Image

pytest.importorskip("pygame", reason="no pygame: pip install '.[display]'")

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
# Tests wait at most this many seconds, enough for a busy machine too.
PATIENCE = 120.0


@pytest.fixture(scope="module")
def result() -> FrameResult:
    """The demo's first frame: a happy face."""
    with DemoSource(paced=False) as demo:
        result = Pipeline(RunConfig()).process(replace(next(iter(demo)), name="a still picture"))
    assert [face.smoothed.label for face in result.faces] == ["happy"]
    return result


class Screen:
    """An X server with a window manager, 1280x720."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        options = ["-displayfd", str(writing), "-screen", "0", "1280x720x24"]
        self.server = subprocess.Popen(["Xvfb", *options], pass_fds=(writing,), stderr=subprocess.DEVNULL)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.name = f":{pipe.readline().strip()}"
        self.environment = {**os.environ, "DISPLAY": self.name}
        self.environment.pop("WAYLAND_DISPLAY", None)
        self.manager = subprocess.Popen(["openbox"], env=self.environment, stderr=subprocess.DEVNULL)

    def press(self, key: str) -> None:
        subprocess.run(["xdotool", "key", key], env=self.environment, check=True)

    def shot(self) -> Image:
        command = ["import", "-silent", "-window", "root", "png:-"]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=True)
        return np.asarray(cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR), np.uint8)

    def shows_something(self) -> bool:
        return int(self.shot().max()) > 100

    def close(self) -> None:
        for process in (self.manager, self.server):
            process.kill()
            process.wait()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    packages = {"Xvfb": "xvfb", "openbox": "openbox", "xdotool": "xdotool", "import": "imagemagick"}
    for program, package in packages.items():
        if not shutil.which(program):
            pytest.skip(f"no {program}: sudo apt install {package}")
    screen = Screen()
    monkeypatch.setenv("DISPLAY", screen.name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    yield screen
    screen.close()


def emit_until(display: Display, result: FrameResult, condition: Callable[[], bool]) -> bool:
    """Show the same frame again and again until the condition holds; False when patience ends."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for _ in range(10):
            display.emit(result)
            time.sleep(0.02)
        if condition():
            return True
    return False


def likeness(shot: Image, expected: Image) -> float:
    """How much a screenshot resembles the picture, -1..1, but for its last line, which tells the speed."""
    part = expected[: -expected.shape[0] // 10]
    return float(cv2.matchTemplate(shot, part, cv2.TM_CCOEFF_NORMED).max())


def shows(screen: Screen, expected: Image) -> bool:
    return likeness(screen.shot(), expected) > 0.98


def test_the_window_shows_label_and_box_where_the_face_is_and_obeys_its_keys(
    screen: Screen, result: FrameResult, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    with Display("window", ScreenConfig(pictures=pictures)) as display:
        windowed, full = draw(result, (768, 576)), draw(result, (1280, 720))
        assert emit_until(display, result, lambda: shows(screen, windowed))
        screen.press("f")
        assert emit_until(display, result, lambda: shows(screen, full))
        middle = screen.shot()[100, :]
        if folder := os.environ.get("FER_SCREENSHOTS"):
            cv2.imwrite(str(Path(folder) / "screen.jpg"), screen.shot()[:, 160:1120], [cv2.IMWRITE_JPEG_QUALITY, 80])
        assert middle[:150].max() == 0, "960 of 1280 columns are the picture: black beside it, not stretched"
        screen.press("m")
        mirrored = draw(result, (1280, 720), mirror=True)
        assert emit_until(display, result, lambda: shows(screen, mirrored))
        screen.press("s")
        assert emit_until(display, result, lambda: any(pictures.glob("*[0-9].png")))
        saved = cv2.imread(str(next(pictures.glob("*[0-9].png"))))
        assert saved is not None
        assert saved.shape == (720, 960, 3)
        screen.press("q")
        with pytest.raises(StopRun):
            emit_until(display, result, lambda: False)


def test_a_mirror_and_scores_are_shown_where_they_are_configured(screen: Screen, result: FrameResult) -> None:
    with Display("window", ScreenConfig(mirror=True), score=True) as display:
        expected, unscored = (draw(result, (768, 576), mirror=True, score=score) for score in (True, False))
        assert emit_until(display, result, lambda: shows(screen, expected))
        shot = screen.shot()
        assert likeness(shot, expected) > likeness(shot, unscored)


def test_a_lost_screen_is_tried_again_after_five_seconds(
    result: FrameResult, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose process is one that says nothing here, and then that it is ready."""
    clock = Clock()
    monkeypatch.setattr("fer_edge.sinks.display.time", clock)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with Display("window", ScreenConfig()) as display:

        def is_in_trouble() -> bool:
            display.emit(result)
            return bool(display.trouble)

        wait_until(is_in_trouble)
        clock.now += 4.9
        display.emit(result)
        assert display._process is None
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        clock.now += 0.2
        display.emit(result)
        assert display._process is not None
        wait_until(lambda: not is_in_trouble())
    assert caplog.text.count("recognition continues without it") == 1
    assert caplog.text.count("the screen is back") == 1


def test_the_last_line_tells_the_frames_per_second_and_their_age(
    result: FrameResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("fer_edge.sinks.display.time", clock)
    display = Display("window", ScreenConfig())
    told = []
    monkeypatch.setattr(display, "_is_ready", lambda: True)
    monkeypatch.setattr(display, "_hand_over", lambda result: told.append(display._status(result)))
    for live in (False, True):
        for _ in range(40):
            clock.now += 0.1
            frame = replace(result.frame, captured_at=clock.now - 0.25, live=live)
            display.emit(replace(result, frame=frame, timings_ms={"track": 30.0, "classify": 5.0}))
    assert told[0] == "0 fps  35 ms"
    assert told[39] == "10 fps  35 ms"
    assert told[-1] == "10 fps  250 ms", "of a camera, from the moment of the picture on"


def test_who_ends_the_run_while_a_frame_is_handed_over_has_ended_it(screen: Screen, result: FrameResult) -> None:
    class SlowImage:
        """An image that is copied so slowly that the user ends the run meanwhile."""

        def __array__(self, *_: object, **__: object) -> Image:
            screen.press("q")
            assert waited_for(lambda: not window_runs())
            return result.frame.image

    slow = replace(result, frame=replace(result.frame, image=cast("Image", SlowImage())))
    with Display("window", ScreenConfig()) as display:
        assert emit_until(display, result, screen.shows_something)
        with pytest.raises(StopRun):
            emit_until(display, slow, lambda: False)


def window_runs() -> bool:
    return subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "sinks.window"], check=False).returncode == 0


@pytest.fixture
def running(screen: Screen, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """fer-edge on the demo, its window open."""
    command = [FER_EDGE, "run", "--source", "demo", "--display", "window", "--json", str(tmp_path / "out.jsonl")]
    process = subprocess.Popen(command, env=screen.environment, stderr=subprocess.PIPE, text=True)
    assert waited_for(screen.shows_something)
    yield process
    process.kill()
    process.wait()


def waited_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


def test_a_run_ends_when_its_window_is_closed(screen: Screen, running: subprocess.Popen[str]) -> None:
    def ended() -> bool:
        screen.press("alt+F4")
        return running.poll() is not None

    assert waited_for(ended)
    assert running.returncode == 0


def test_recognition_goes_on_when_the_screen_is_lost(
    screen: Screen, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    lines = tmp_path / "out.jsonl"
    screen.close()
    before = lines.read_text().count("\n")
    assert waited_for(lambda: lines.read_text().count("\n") >= before + 20)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, errors
    assert errors.count("recognition continues without it") == 1


def test_without_a_screen_it_says_so_and_goes_on(
    command: Run, result: FrameResult, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with Display("window", ScreenConfig()) as display:
        assert emit_until(display, result, lambda: "recognition continues without it" in caplog.text)
        assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in caplog.text
    done = command("fer-edge", "run", "--source", "demo", "--display", "hdmi", "--max-frames", 20, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 20
