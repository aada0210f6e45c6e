"""What the window draws and does at each key, on SDL's driver without a screen. On a real one: test_display.py."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.clock import Clock
from tests.conftest import wait_until
from tests.edge.test_overlay import result

from fer_edge.config import ScreenConfig
from fer_edge.errors import MissingExtra
from fer_edge.sinks.display import Display
from fer_edge.sinks.overlay import draw
from fer_edge.types import FaceBox, FrameResult, Image

pygame = pytest.importorskip("pygame", reason="no pygame: pip install '.[display]'")

from fer_edge.sinks import window as module  # noqa: E402
from fer_edge.sinks.window import Window, serve  # noqa: E402

FACE = result(FaceBox(200, 150, 150, 150, 0.9))


@pytest.fixture(autouse=True)
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """The size of the desktop."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    ((width, height),) = pygame.display.get_desktop_sizes()
    yield width, height
    pygame.display.quit()


def drawn() -> Image:
    """What the window shows, BGR."""
    surface = pygame.display.get_surface()
    width, height = surface.get_size()
    return np.frombuffer(pygame.image.tobytes(surface, "RGB"), np.uint8).reshape(height, width, 3)[:, :, ::-1]


def press(window: Window, *keys: int) -> list[bool]:
    """Press keys; whether each ends the run."""
    answers = []
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
        answers.append(window.wants_to_end())
    return answers


@pytest.mark.parametrize(("mirror", "score"), [(False, False), (True, False), (False, True)])
def test_a_frame_fills_four_fifths_of_the_desktop(desktop: tuple[int, int], mirror: bool, score: bool) -> None:
    window = Window("window", ScreenConfig(mirror=mirror), score=score)
    assert pygame.display.get_caption()[0] == "fer-edge"
    assert drawn().shape == (480, 640, 3)
    assert pygame.mouse.get_visible()
    window.show(FACE, "12 fps")
    scale = 0.8 * min(desktop[0] / 640, desktop[1] / 480)
    size = (round(640 * scale), round(480 * scale))
    assert pygame.display.get_surface().get_size() == size
    assert np.array_equal(drawn(), draw(FACE, size, mirror=mirror, status="12 fps", score=score))


def test_a_frame_of_another_shape_is_in_the_middle_of_black() -> None:
    window = Window("window", ScreenConfig(), score=False)
    window.show(FACE, "")
    width, height = pygame.display.get_surface().get_size()
    high = result(FaceBox(20, 15, 20, 20), size=(200, 400))
    window.show(high, "")
    expected = draw(high, (width, height))
    left = (width - expected.shape[1]) // 2
    assert np.array_equal(drawn()[:, left : left + expected.shape[1]], expected)
    assert not drawn()[:, :left].any()
    assert not drawn()[:, left + expected.shape[1] :].any()


def test_the_keys(desktop: tuple[int, int]) -> None:
    window = Window("window", ScreenConfig(), score=False)
    window.show(FACE, "")
    size = pygame.display.get_surface().get_size()
    assert press(window, pygame.K_q, pygame.K_ESCAPE, pygame.K_x) == [True, True, False]
    assert press(window, pygame.K_m) == [False]
    window.show(FACE, "")
    assert np.array_equal(drawn(), draw(FACE, size, mirror=True))
    assert press(window, pygame.K_m, pygame.K_f) == [False, False]
    assert pygame.display.get_surface().get_flags() & pygame.FULLSCREEN
    assert pygame.display.get_surface().get_size() == desktop
    assert not pygame.mouse.get_visible()
    press(window, pygame.K_f)
    assert pygame.display.get_surface().get_size() == size
    assert pygame.display.get_surface().get_flags() & pygame.RESIZABLE
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert window.wants_to_end()
    assert not window.wants_to_end()


def test_a_key_saves_the_picture_where_that_is_configured(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pictures"
    window = Window("window", ScreenConfig(pictures=folder), score=False)
    press(window, pygame.K_s)
    assert not folder.exists(), "nothing was shown yet"
    window.show(FACE, "7 fps")
    press(window, pygame.K_s)
    (picture,) = folder.iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-\d{6}\.png", picture.name)
    assert np.array_equal(np.asarray(cv2.imread(str(picture))), drawn())
    picture.unlink()
    folder.rmdir()
    folder.touch()
    assert press(window, pygame.K_s) == [False], "what cannot be saved ends nothing"
    unasked = Window("window", ScreenConfig(), score=False)
    unasked.show(FACE, "")
    press(unasked, pygame.K_s)
    assert [path.name for path in folder.parent.iterdir()] == ["pictures"]


def test_a_screen_without_a_desktop_is_drawn_on_by_the_kernels_driver(
    monkeypatch: pytest.MonkeyPatch, desktop: tuple[int, int]
) -> None:
    Window("hdmi", ScreenConfig(), score=False)
    assert pygame.display.get_surface().get_size() == desktop
    assert os.environ["SDL_VIDEODRIVER"] == "dummy", "who has chosen one keeps it"
    pygame.display.quit()
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    chosen: list[str] = []
    monkeypatch.setattr(pygame.display, "init", lambda: chosen.append(os.environ.get("SDL_VIDEODRIVER", "")))
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "dummy")
    with pytest.raises(pygame.error, match="neither DISPLAY nor WAYLAND_DISPLAY is set"):
        Window("window", ScreenConfig(), score=False)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.setenv(name, ":7")
        with pytest.raises(pygame.error, match="neither DISPLAY"):
            Window("hdmi", ScreenConfig(), score=False)
        monkeypatch.delenv(name)
    with pytest.raises(pygame.error, match="not initialized"):  # the stand-in has initialised nothing
        Window("hdmi", ScreenConfig(), score=False)
    assert chosen == ["", "", "", "kmsdrm"]


@pytest.fixture
def shared() -> Iterator[int]:
    """The memory in which a frame is handed over."""
    memory = os.memfd_create("test")
    yield memory
    os.close(memory)


def hand_over(pipe: Connection, memory: int, shown: FrameResult, status: str) -> None:
    image = np.ascontiguousarray(shown.frame.image)
    os.ftruncate(memory, image.nbytes)
    os.pwrite(memory, image.tobytes(), 0)
    bare = replace(shown, frame=replace(shown.frame, image=np.zeros((0, 0, 3), np.uint8)))
    pipe.send((image.shape, bare, status))


@pytest.fixture
def served(shared: int) -> Iterator[Callable[[Window], Connection]]:
    """Serve a window in a thread; the end of the pipe that the run has."""
    threads, ours = [], []

    def serve_it(window: Window) -> Connection:
        near, far = Pipe()
        thread = threading.Thread(target=serve, args=(far, shared, window))
        thread.start()
        threads.append(thread)
        ours.append(near)
        return near

    yield serve_it
    for pipe, thread in zip(ours, threads, strict=True):
        thread.join(10)
        assert not thread.is_alive()
        pipe.close()


class Shown:
    """A window that keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[FrameResult, str]] = []
        self.is_over = False

    def wants_to_end(self) -> bool:
        return self.is_over

    def show(self, shown: FrameResult, status: str) -> None:
        self.given.append((shown, status))


def test_without_its_package_the_display_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.sinks.display.find_spec", lambda _: None)
    with pytest.raises(MissingExtra) as raised:
        Display("window", ScreenConfig())
    assert str(raised.value) == "pygame-ce is not installed. Fix: pip install '.[display]'"


def test_it_asks_for_each_frame_and_tells_the_end(
    served: Callable[[object], Connection], shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, window = Clock(), Shown()
    monkeypatch.setattr(module, "time", clock)
    pipe = served(window)
    assert pipe.poll(10)
    assert pipe.recv() == "ready"
    assert not pipe.poll(0.1), "it asks once"
    hand_over(pipe, shared, FACE, "12 fps")
    wait_until(lambda: len(window.given) == 1)
    shown, status = window.given[0]
    assert status == "12 fps"
    assert np.array_equal(shown.frame.image, FACE.frame.image)
    assert shown.faces[0].label == "happy"
    assert not pipe.poll(0.1), "thirty times per second at most"
    clock.now += 1 / 29
    assert pipe.poll(10)
    assert pipe.recv() == "ready"
    window.is_over = True
    assert pipe.poll(10)
    assert pipe.recv() == "end"
