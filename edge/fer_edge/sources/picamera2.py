"""A Raspberry Pi's camera through picamera2. Its image processor also makes a small image for the scans."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.config import CameraConfig
from fer_edge.errors import MissingDependency, SourceError
from fer_edge.images import turned
from fer_edge.sources import Observer
from fer_edge.sources.capture import Capture, Shot
from fer_edge.sources.live import LiveSource
from fer_edge.types import Image

_log = logging.getLogger(__name__)

# Every Pi's image processor can deliver this format on both outputs, in half the bytes of RGB.
_FORMAT = "NV12"
# After this many seconds without a frame the camera counts as lost. The cause is usually a loose ribbon cable.
_TIMEOUT = 2.0
_INSTALL = "sudo apt install python3-picamera2, in an environment made with --system-site-packages"

# These are width and height in pixels of the streams `main` and `lores`.
_Sizes = dict[str, tuple[int, int]]


class Picamera2Source(LiveSource):
    """A camera on the ribbon cable: `picamera2`, or `picamera2:1` or `picamera2:ID` if there are several."""

    def __init__(self, name: str, config: CameraConfig, scan_width: int, observer: Observer | None = None) -> None:
        """Choose the camera; `scan_width` is the width in pixels at which whole frames are scanned.

        Raises:
            MissingDependency: picamera2 is not installed.
            SourceError: there is no such camera.
        """
        library = load_picamera2()
        which = name.partition(":")[2] or "0"
        if not config.wait:
            _number(library, which)
        open_capture = opener(which, config, scan_width)
        super().__init__(f"{name} camera", open_capture, fps=config.fps, wait=config.wait, observer=observer)


class Picamera2Capture:
    """An open camera that delivers frames."""

    def __init__(self, camera: Any, sizes: _Sizes, config: CameraConfig) -> None:  # noqa: ANN401 - it ships no types
        self.fps = config.fps
        self._camera = camera
        self._sizes = sizes
        self._turn = config.rotation % 180

    def read(self) -> Shot | None:
        """Return the last completed frame, or wait for the next; its buffers are returned to the camera at once."""
        try:
            with self._camera.captured_request(wait=_TIMEOUT) as request:
                planes = {stream: request.make_buffer(stream) for stream in self._sizes}
                nanoseconds = request.get_metadata()["SensorTimestamp"]  # on the monotonic clock
        except (TimeoutError, RuntimeError):
            return None
        small = self._picture(planes["lores"], "lores")
        return Shot(self._picture(planes["main"], "main"), nanoseconds / 1e9, small)

    def release(self) -> None:
        """Release the camera."""
        with suppress(RuntimeError):
            self._camera.close()

    def _picture(self, planes: npt.NDArray[np.uint8], stream: str) -> Image:
        """Convert NV12, whose lines may be padded, to an upright BGR image."""
        width, height = self._sizes[stream]
        stride = self._camera.stream_configuration(stream)["stride"]
        lines = planes[: stride * height * 3 // 2].reshape(height * 3 // 2, stride)
        image = np.asarray(cv2.cvtColor(lines, cv2.COLOR_YUV2BGR_NV12), np.uint8)[:, :width]
        return turned(np.ascontiguousarray(image), self._turn)


def find_ribbon_camera() -> str | None:
    """Return the id of the first camera on a ribbon cable; USB cameras, which libcamera lists too, are left to V4L2."""
    if find_spec("picamera2") is None:
        return None
    try:
        cameras = load_picamera2().global_camera_info()
    except MissingDependency:
        return None
    return next((str(camera["Id"]) for camera in cameras if "usb" not in camera["Id"].lower()), None)


def load_picamera2() -> Any:  # noqa: ANN401 - it ships no types
    """Import the library. Raises MissingDependency if it or libcamera is missing."""
    try:
        from picamera2 import Picamera2  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise MissingDependency(f"picamera2 cannot be imported ({error}). Fix: {_INSTALL}") from error
    logging.getLogger("picamera2").setLevel(logging.WARNING)  # it logs every request
    return Picamera2


def opener(which: str, config: CameraConfig, scan_width: int) -> Callable[[], Capture | None]:
    """Return a function that opens the camera with that number or id; it returns None if it fails.

    Raises:
        MissingDependency: picamera2 is not installed.
    """
    library, sizes = load_picamera2(), _stream_sizes(config, scan_width)
    from libcamera import Transform  # noqa: PLC0415 - an optional part

    half_turn = config.rotation >= 180
    transform = Transform(hflip=config.hflip != half_turn, vflip=config.vflip != half_turn)
    streams = {stream: {"size": size, "format": _FORMAT} for stream, size in sizes.items()}
    settings = {"raw": None, "transform": transform, "controls": {"FrameRate": config.fps}, "buffer_count": 4}

    said = ""

    def open_capture() -> Capture | None:
        nonlocal said
        try:
            camera = library(_number(library, which))
        except (RuntimeError, IndexError, SourceError) as error:
            _log.debug("camera %s: %s", which, error)
            return None
        try:
            camera.configure(camera.create_video_configuration(**streams, **settings))
            camera.start()
        except (RuntimeError, ValueError) as error:
            if str(error) != said:
                _log.warning("camera %s does not start: %s", which, error)
            said = str(error)
            camera.close()
            return None
        return Picamera2Capture(camera, sizes, config)

    return open_capture


def _number(library: Any, which: str) -> int:  # noqa: ANN401 - it ships no types
    """The camera's position in libcamera's list, by number or id."""
    cameras = library.global_camera_info()
    for place, camera in enumerate(cameras):
        if which in {str(place), camera["Id"]}:
            return place
    known = ", ".join(f"{place} ({camera['Id']})" for place, camera in enumerate(cameras)) or "none"
    raise SourceError(f"picamera2 has no camera {which}. Cameras: {known}. Is the ribbon cable seated at both ends?")


def _stream_sizes(config: CameraConfig, scan_width: int) -> _Sizes:
    """Sizes of both streams. They are even, since NV12 holds colour for squares of two by two pixels."""
    width = min(scan_width, config.width)
    height = width * config.height / config.width
    return {"main": (_even(config.width), _even(config.height)), "lores": (_even(width), _even(height))}


def _even(length: float) -> int:
    return round(length / 2) * 2
