"""A window with the overlay, by SDL."""

from __future__ import annotations

import os
from typing import Self

from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.overlay import draw
from fer_edge.sinks import StopRun
from fer_edge.types import FrameResult, Image


class Display:
    """Shows annotated frames; `q`, Esc or closing the window end the run."""

    def __init__(self) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame  # noqa: PLC0415 - an optional part
        except ImportError as error:
            raise MissingExtra("pygame-ce", "display") from error
        self._pygame = pygame
        self._window: pygame.Surface | None = None

    def __enter__(self) -> Self:
        try:
            self._pygame.display.init()
        except self._pygame.error as error:
            raise ConfigError(
                f"no screen for --display window ({error}). Is DISPLAY or WAYLAND_DISPLAY set?"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._pygame.display.quit()

    def emit(self, result: FrameResult) -> None:
        """Show one frame, as large as the window allows without distortion."""
        pygame = self._pygame
        image = draw(result)
        if self._window is None:
            self._window = pygame.display.set_mode((image.shape[1], image.shape[0]), pygame.RESIZABLE)
            pygame.display.set_caption("fer-edge")
        for event in pygame.event.get():
            if event.type == pygame.QUIT or (
                event.type == pygame.KEYDOWN and event.key in {pygame.K_q, pygame.K_ESCAPE}
            ):
                raise StopRun
        self._blit(image)

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
