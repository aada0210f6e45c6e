"""Cameras and network streams through OpenCV."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fer_edge.config import CameraConfig
from fer_edge.errors import SourceError
from fer_edge.images import flipped, turned
from fer_edge.sources import Observer
from fer_edge.sources.capture import Capture, Shot
from fer_edge.sources.device_diagnosis import why_device_fails
from fer_edge.sources.live import LiveSource
from fer_edge.sources.url_diagnosis import why_url_fails
from fer_edge.terminal import without_password
from fer_edge.types import Image

_log = logging.getLogger(__name__)

# This many damaged frames in a row, and this many seconds without a good one, are skipped. A dead stream fails at once,
# a frozen one after the time-out.
_MOST_SKIPPED, _SKIP_S = 10, 1.0
_OPEN_TIMEOUT_MS = 5000
_READ_TIMEOUT_MS = 3000
# The kernel gives these names to a Raspberry Pi's decoders and image processors.
_NO_CAMERAS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc-dec", "rpivid")


class CameraSource(LiveSource):
    """A camera by number or device path, or an rtsp:// or http:// stream."""

    def __init__(
        self,
        name: str,
        config: CameraConfig,
        observer: Observer | None = None,
        first: cv2.VideoCapture | None = None,
    ) -> None:
        """Prepare; `first` is a stream of that name that is already open."""
        super().__init__(
            _describe(name),
            opener(name, config, first),
            fps=config.fps,
            wait=config.wait,
            observer=observer,
            explain=partial(_why_it_fails, name),
        )


class OpenCvCapture:
    """An open OpenCV capture that has delivered a frame."""

    def __init__(self, capture: cv2.VideoCapture, config: CameraConfig) -> None:
        self._capture = capture
        self._config = config
        self.fps = float(capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> Shot | None:
        """Wait for a frame, and rotate it as configured; None when the camera is lost.

        Single damaged frames are skipped. Only many in a row, or no frames, mean a loss.
        """
        started_at = time.monotonic()
        skipped = 0
        image = _read(self._capture)
        while image is None and skipped < _MOST_SKIPPED and time.monotonic() - started_at < _SKIP_S:
            skipped += 1
            image = _read(self._capture)
        if image is None:
            return None
        if skipped:
            _log.debug("%d pictures in a row could not be decoded", skipped)
        image = flipped(image, left_right=self._config.hflip, above_below=self._config.vflip)
        return Shot(turned(image, self._config.rotation), skipped=skipped)

    def release(self) -> None:
        """Release the camera."""
        self._capture.release()


def find_camera() -> str | None:
    """Return the first video device that delivers a frame."""
    for device in possible_cameras(Path("/dev"), Path("/sys/class/video4linux")):
        capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
        delivers = _delivers(capture)
        capture.release()
        if delivers:
            return str(device)
    return None


def possible_cameras(devices: Path, names: Path) -> list[Path]:
    """The video devices that may be cameras, by number: a Raspberry Pi has a dozen other ones.

    Waiting for a frame of a device that is no camera takes ten seconds.

    Args:
        devices: folder of the devices.
        names: folder with the kernel's names, as `video0/name`.
    """
    found = sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name))
    return [device for device in found if not _name(names / device.name / "name").startswith(_NO_CAMERAS)]


def _name(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _describe(name: str) -> str:
    return without_password(name) if "://" in name else f"camera {name}"


def why_no_camera() -> str:
    """What is wrong with the first video device; empty if there is none or the reason is unknown."""
    devices = possible_cameras(Path("/dev"), Path("/sys/class/video4linux"))
    return why_device_fails(devices[0]) if devices else ""


def _why_it_fails(name: str) -> str:
    return why_url_fails(name) if "://" in name else why_device_fails(_device(name))


def _device(name: str) -> Path:
    return Path(f"/dev/video{name}" if name.isdecimal() else name)


def opener(name: str, config: CameraConfig, first: cv2.VideoCapture | None = None) -> Callable[[], Capture | None]:
    """Return a function that opens the named camera, or for `auto` the first one that works.

    It returns None if that fails, and raises SourceError if the camera does not have the configured pixel format.
    `first` is a stream of that name that is already open.
    """

    def open_capture() -> Capture | None:
        nonlocal first
        if "://" in name:
            stream, first = first or open_stream(name), None
            return _opened(stream, config)
        device = find_camera() if name == "auto" else str(_device(name))
        if device is None:
            return None
        capture = _open_device(device, config)
        opened = _opened(capture, config)
        if opened and config.pixel_format and _pixel_format(capture) != config.pixel_format:
            opened.release()
            raise SourceError(
                f"camera {device} does not support {config.pixel_format}: change pixel_format under [camera]. "
                f"What it has: v4l2-ctl --device={device} --list-formats"
            )
        return opened

    return open_capture


def _opened(capture: cv2.VideoCapture, config: CameraConfig) -> Capture | None:
    if _delivers(capture):
        return OpenCvCapture(capture, config)
    capture.release()
    return None


def _delivers(capture: cv2.VideoCapture) -> bool:
    """Whether it delivers a frame: some devices open but never do."""
    return capture.isOpened() and _read(capture) is not None


def _read(capture: cv2.VideoCapture) -> Image | None:
    try:
        read, image = capture.read()
    except cv2.error:  # the frame cannot be decoded
        return None
    return np.asarray(image, np.uint8) if read else None


def _open_device(device: str, config: CameraConfig) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if config.pixel_format:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*config.pixel_format))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
    capture.set(cv2.CAP_PROP_FPS, config.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _pixel_format(capture: cv2.VideoCapture) -> str:
    """The format that it delivers: OpenCV uses another one if the camera does not have the requested one."""
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")


def open_stream(url: str) -> cv2.VideoCapture:
    """Open a stream, with time limits for opening and reading."""
    timeouts = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        _OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _READ_TIMEOUT_MS,
    ]
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
