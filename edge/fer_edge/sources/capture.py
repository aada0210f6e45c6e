"""What a live source reads: an open camera, its frames, and how long to wait for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fer_edge.types import Image


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a live source waits for its camera, in seconds.

    Attributes:
        first_pause: pause before a lost camera is opened again; doubled after each attempt.
        longest_pause: largest such pause.
        steady: a camera that delivered for this long is opened again after the first pause.
        hang: a reader without a sign of life for this long is abandoned; opening a stream may take 11 seconds. It is
            doubled after each such reader until there is a frame, since a missing camera can take long to fail.
        longest_hang: largest such time.
        hopeless: after this long the process gives up: only a new process releases all that a hanging one holds.
        end: how long to wait for a reader at the end: as long as opening or reading a stream may take.
    """

    first_pause: float = 0.5
    longest_pause: float = 10.0
    steady: float = 10.0
    hang: float = 15.0
    longest_hang: float = 60.0
    hopeless: float = 120.0
    end: float = 6.0


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame from a camera.

    Attributes:
        image: shape (H, W, 3), BGR.
        taken_at: seconds on the monotonic clock; None if the camera does not report it.
        small: the same image, scaled down by the camera's hardware; None if it does not do that.
        skipped: damaged frames before this one.
    """

    image: Image
    taken_at: float | None = None
    small: Image | None = None
    skipped: int = 0


class Capture(Protocol):
    """An open camera."""

    fps: float
    """Frames per second; 0 if unknown."""

    def read(self) -> Shot | None:
        """Wait for a frame; None when the camera is lost."""
        ...

    def release(self) -> None:
        """Release the camera."""
        ...
