"""Wait for any camera, on a ribbon cable or not."""

from __future__ import annotations

from collections.abc import Callable

from fer_edge.config import CameraConfig
from fer_edge.sources import Observer, camera, picamera2
from fer_edge.sources.capture import Capture
from fer_edge.sources.live import LiveSource


class AutoSource(LiveSource):
    """A ribbon-cable camera, else the first other camera; it searches for both until one delivers."""

    def __init__(self, config: CameraConfig, scan_width: int, observer: Observer | None = None) -> None:
        super().__init__(
            "the camera",
            _opener(config, scan_width),
            fps=config.fps,
            wait=config.wait,
            observer=observer,
            explain=camera.why_no_camera,
        )


def _opener(config: CameraConfig, scan_width: int) -> Callable[[], Capture | None]:
    openers: dict[str, Callable[[], Capture | None]] = {}
    chosen: Callable[[], Capture | None] | None = None

    def opener(ribbon: str | None) -> Callable[[], Capture | None]:
        if ribbon is None:
            return camera.opener("auto", config)
        if ribbon not in openers:
            openers[ribbon] = picamera2.opener(ribbon, config, scan_width)
        return openers[ribbon]

    def open_capture() -> Capture | None:
        nonlocal chosen
        open_it = chosen or opener(picamera2.find_ribbon_camera())
        capture = open_it()
        if capture is not None:
            chosen = open_it
        return capture

    return open_capture
