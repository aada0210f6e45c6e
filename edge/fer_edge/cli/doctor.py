"""Check the parts of this machine, and say how to fix what does not work."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fer_edge import __version__
from fer_edge.errors import FerError, MissingExtra

# SDL's drivers that draw into memory: it takes one of them where it finds no screen.
_NO_SCREEN = ("offscreen", "dummy")


@dataclass(frozen=True, slots=True)
class Check:
    """The result for one part. Optional parts have `needed=False`."""

    part: str
    works: bool
    needed: bool
    finding: str


def run_checks(model: str) -> list[Check]:
    """Check every part."""
    return [
        Check("fer-edge", True, True, f"{__version__} on Python {platform.python_version()}, {platform.machine()}"),
        _try("OpenCV", _opencv),
        _try("Haar cascade", _cascade),
        _try("TFLite runtime", _runtime),
        _try("model", lambda: _model(model)),
        _try("MediaPipe", _mediapipe, needed=False),
        _try("camera", _camera, needed=False),
        _try("ribbon-cable camera", _ribbon_camera, needed=False),
        _try("display window", _window, needed=False),
        _try("display hdmi", _hdmi, needed=False),
        _try("recording", _recording, needed=False),
        _try("plot", _plot, needed=False),
    ]


def _try(part: str, look: Callable[[], str], *, needed: bool = True) -> Check:
    try:
        return Check(part, True, needed, look())
    except FerError as error:
        return Check(part, False, needed, str(error))


def _opencv() -> str:
    from fer_edge.opencv import require_opencv

    return require_opencv()


def _cascade() -> str:
    _opencv()
    from fer_edge.config import DetectorConfig
    from fer_edge.detectors.cascades import find_cascade
    from fer_edge.detectors.haar import HaarDetector

    HaarDetector(DetectorConfig())
    return str(find_cascade("haarcascade_frontalface_alt.xml"))


def _runtime() -> str:
    from fer_edge.model.interpreter import runtime_name

    return runtime_name()


def _model(name: str) -> str:
    """Verify the hashes and run the model's self-test."""
    _opencv()
    from fer_edge.model.bundle import find_bundle
    from fer_edge.model.golden import verify

    return verify(find_bundle(name))


def _camera() -> str:
    _opencv()
    from fer_edge.sources.camera import find_camera, why_no_camera

    device = find_camera()
    if device:
        return f"{device} delivers frames"
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    if not found:
        raise FerError("no /dev/video*. Connect a camera; --source demo runs without one")
    raise FerError(why_no_camera() or f"{', '.join(found)}: none delivers a frame. Is another program using it?")


def _mediapipe() -> str:
    _opencv()
    from fer_edge.config import DetectorConfig
    from fer_edge.detectors.mediapipe import MediaPipeDetector
    from fer_edge.detectors.mediapipe_files import FULL_RANGE, find_models

    MediaPipeDetector(DetectorConfig(name="mediapipe")).close()
    return f"{find_models()[FULL_RANGE].parent}: --detector mediapipe finds more faces than haar"


def _ribbon_camera() -> str:
    _opencv()
    from fer_edge.sources.picamera2 import find_ribbon_camera, load_picamera2

    load_picamera2()
    found = find_ribbon_camera()
    if found is None:
        raise FerError("picamera2 finds no camera. Seat the ribbon cable at both ends, then look: rpicam-hello --list")
    return f"--source picamera2: {found}"


def _window() -> str:
    if not ({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        raise FerError(
            "no desktop (neither DISPLAY nor WAYLAND_DISPLAY is set): use --display hdmi, --record or --json"
        )
    return _screen({})


def _hdmi() -> str:
    if {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return f"{_screen({})}, full screen on this desktop"
    return _screen({"SDL_VIDEODRIVER": "kmsdrm"})


def _screen(settings: dict[str, str]) -> str:
    """Open SDL's display in its own process, since a lost X server would end the process."""
    if find_spec("pygame") is None:
        raise MissingExtra("pygame-ce", "display")
    script = (
        "import pygame; from pygame import display; display.init(); width, height = display.get_desktop_sizes()[0]; "
        "print(f'{width}x{height} by {display.get_driver()}')"
    )
    asked = "SDL_VIDEODRIVER" in os.environ | settings
    environment = {**os.environ, "PYGAME_HIDE_SUPPORT_PROMPT": "1", **settings}
    command = ["timeout", "20", sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode == 0:
        if done.stdout.strip().endswith(_NO_SCREEN) and not asked:
            raise FerError(f"the desktop {os.environ.get('DISPLAY', '')} does not answer. Is it running?")
        return done.stdout.strip()
    said = (done.stderr.strip().splitlines() or ["no answer"])[-1].removeprefix("pygame.error: ")
    raise FerError(f"{said}. Is a screen connected? Fix: sudo usermod -aG video,render,input $USER, then log in again")


def _recording() -> str:
    _opencv()
    from fer_edge.sinks.video_writers import plays_in_browsers

    if not plays_in_browsers(".mp4", None):
        raise FerError(
            "browsers play .webm only; .mp4 and .mkv are MPEG-4 Part 2. For H.264: pip install '.[recording]', or "
            "apt install python3-av"
        )
    return f"H.264 by PyAV {version('av')}"


def _plot() -> str:
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "plot")
    return f"matplotlib {version('matplotlib')}"
