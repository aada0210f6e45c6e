"""A window with the overlay, by SDL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.overlay import draw
from fer_edge.quiet import quiet
from fer_edge.sinks import StopRun
from fer_edge.types import FrameResult, Image

if TYPE_CHECKING:
    import pygame

_NO_SCREEN = "no screen for --display window. Are DISPLAY or WAYLAND_DISPLAY set? Or use --record or --json"
_END_KEYS = {ord("q"), 27}
"""`q` and Esc, as SDL numbers keys."""


class Display:
    """Shows annotated frames; `q`, Esc or closing the window end the run."""

    description = "the window"
    slow = False

    def __init__(self) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame  # noqa: PLC0415 - an optional part
        except ImportError as error:
            raise MissingExtra("pygame-ce", "display") from error
        self._pygame = pygame
        self._window: pygame.Surface | None = None

    def __enter__(self) -> Self:
        pygame = self._pygame
        try:
            with quiet():
                pygame.display.init()
        except pygame.error as error:
            raise ConfigError(f"{_NO_SCREEN} ({error})") from error
        if pygame.display.get_driver() in {"dummy", "offscreen"} and "SDL_VIDEODRIVER" not in os.environ:
            raise ConfigError(_NO_SCREEN)
        return self

    def __exit__(self, *_: object) -> None:
        self._pygame.display.quit()

    def emit(self, result: FrameResult) -> None:
        """Show one frame, as large as the window allows without distortion."""
        pygame = self._pygame
        image = draw(result)
        try:
            if self._window is None:
                self._window = self._open(image)
            for event in pygame.event.get():
                if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key in _END_KEYS):
                    raise StopRun
            self._blit(image)
        except pygame.error as error:
            raise OSError(str(error)) from error

    def _open(self, image: Image) -> pygame.Surface:
        """A window of the picture's size, or as much of it as the screen holds."""
        screen_width, screen_height = self._pygame.display.get_desktop_sizes()[0]
        scale = min(1.0, 0.9 * screen_width / image.shape[1], 0.9 * screen_height / image.shape[0])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        self._pygame.display.set_caption("fer-edge")
        return self._pygame.display.set_mode(size, self._pygame.RESIZABLE)

    def _blit(self, image: Image) -> None:
        pygame = self._pygame
        window = pygame.display.get_surface()
        height, width = image.shape[:2]
        scale = min(window.get_width() / width, window.get_height() / height)
        size = (round(width * scale), round(height * scale))
        picture = pygame.image.frombuffer(image.tobytes(), (width, height), "BGR")
        window.fill((0, 0, 0))
        corner = ((window.get_width() - size[0]) // 2, (window.get_height() - size[1]) // 2)
        window.blit(pygame.transform.scale(picture, size), corner)
        pygame.display.flip()
