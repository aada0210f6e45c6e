"""The process that draws the screen with SDL: in a window, full screen, or on a console without a desktop (kmsdrm).

    python -m fer_edge.sinks.window PIPE MEMORY window|hdmi SETTINGS [score]

`fer_edge.sinks.display` starts it. Both numbers are file descriptors. It sends `ready` for each frame that it can take,
`end` when the user has had enough, or else why there is no screen.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import pygame

from fer_edge.config import ScreenConfig
from fer_edge.files import replace_file
from fer_edge.sinks.overlay import draw
from fer_edge.types import FrameResult, Image

# At most this many frames per second are drawn: expressions change more slowly, and drawing costs CPU time.
_MOST_FPS = 30
# With this nice value, recognition has priority if there are too few cores.
_NICENESS = 5
# The keyboard is read every so many seconds.
_POLL = 0.02
# The window takes this fraction of the desktop's width or height.
_OF_DESKTOP = 0.8


class Window:
    """The SDL window and its keys: q and Esc end, f full screen, m mirror, s save a picture."""

    def __init__(self, kind: str, config: ScreenConfig, *, score: bool) -> None:
        """Open the screen. Raises pygame.error if there is none."""
        self._config = config
        self._score = score
        self._mirror = config.mirror
        self._full = kind == "hdmi"
        self._shown: Image | None = None
        if self._full and not ({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
            os.environ.setdefault("SDL_VIDEODRIVER", "kmsdrm")
        pygame.display.init()
        if pygame.display.get_driver() in {"dummy", "offscreen"} and "SDL_VIDEODRIVER" not in os.environ:
            raise pygame.error("neither DISPLAY nor WAYLAND_DISPLAY is set")
        pygame.display.set_caption("fer-edge")
        self._size = (640, 480)
        self._window = self._open()

    def wants_to_end(self) -> bool:
        """Handle keys; True for q, Esc and a closed window."""
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                return True
            if event.type == pygame.KEYDOWN:
                if event.key in {pygame.K_q, pygame.K_ESCAPE}:
                    return True
                self._press(event.key)
        return False

    def show(self, result: FrameResult, status: str) -> None:
        """Draw one frame as large as the window allows, in its middle."""
        if self._shown is None:
            self._size = _fitted(result.frame.image)
            self._window = self._open()
        window = self._window
        size = window.get_size()
        self._shown = draw(result, size, mirror=self._mirror, status=status, score=self._score)
        height, width = self._shown.shape[:2]
        window.fill((0, 0, 0))
        corner = ((window.get_width() - width) // 2, (window.get_height() - height) // 2)
        window.blit(pygame.image.frombuffer(self._shown.tobytes(), (width, height), "BGR"), corner)
        pygame.display.flip()

    def _open(self) -> pygame.Surface:
        pygame.mouse.set_visible(not self._full)
        if self._full:
            return pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
        return pygame.display.set_mode(self._size, pygame.RESIZABLE)

    def _press(self, key: int) -> None:
        if key == pygame.K_f:
            self._full = not self._full
            self._window = self._open()
        elif key == pygame.K_m:
            self._mirror = not self._mirror
        elif key == pygame.K_s and self._config.pictures and self._shown is not None:
            _save(self._shown, self._config.pictures)


def _fitted(image: Image) -> tuple[int, int]:
    """The size of a window with the image's proportions that fits the desktop."""
    width, height = pygame.display.get_desktop_sizes()[0]
    scale = _OF_DESKTOP * min(width / image.shape[1], height / image.shape[0])
    return round(image.shape[1] * scale), round(image.shape[0] * scale)


def _save(image: Image, folder: Path) -> None:
    """Write the whole image or nothing; a full disk, or a folder that is none, loses only this image."""
    written, content = cv2.imencode(".png", image)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if written:
            replace_file(folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}.png", content.tobytes())


def serve(pipe: Connection, memory: int, window: Window) -> None:
    """Show frames until the user or the other process ends it."""
    asked = False
    shown_at = 0.0
    while not window.wants_to_end():
        if not asked and time.monotonic() - shown_at >= 1 / _MOST_FPS:
            pipe.send("ready")
            asked = True
        if pipe.poll(_POLL):
            shape, result, status = pipe.recv()
            shown_at = time.monotonic()
            window.show(_with_picture(result, memory, shape), status)
            asked = False
    pipe.send("end")


def _with_picture(result: FrameResult, memory: int, shape: tuple[int, int, int]) -> FrameResult:
    with mmap.mmap(memory, shape[0] * shape[1] * shape[2], access=mmap.ACCESS_READ) as shared:
        image = np.frombuffer(shared.read(), np.uint8).reshape(shape)
    frame = result.frame
    return replace(result, frame=replace(frame, image=image, small=None))


def main() -> None:
    """Run until the pipe closes. Signals that end fer-edge reach this process too, and are ignored here."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # systemd may forbid it
        os.nice(_NICENESS)
    pipe, memory = Connection(int(sys.argv[1])), int(sys.argv[2])
    try:
        screen = ScreenConfig.model_validate_json(sys.argv[4])
        serve(pipe, memory, Window(sys.argv[3], screen, score="score" in sys.argv[5:]))
    except pygame.error as error:
        pipe.send(str(error))
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    main()
