"""Sources of frames: cameras, streams, videos, images and the demo."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

from fer_edge.config import NAMED_SOURCES, RunConfig
from fer_edge.errors import ConfigError, SourceError, closest
from fer_edge.picture_formats import is_picture, why_unsuited
from fer_edge.terminal import without_password
from fer_edge.types import Frame

_log = logging.getLogger(__name__)


class Source(Protocol):
    """A context manager that yields frames."""

    description: str
    """Description for people."""
    fps: float
    """Largest number of frames per second."""
    frames: int | None
    """Number of frames; None if it has no end."""
    live: bool
    """Whether it delivers frames in real time and drops late ones: `captured_at` is then monotonic time."""

    stills: bool
    """Whether the frames are independent still images."""
    skipped: int
    """Images that could not be read so far."""
    hangs: bool
    """After closing: whether a thread hangs in a driver, so that the process must exit without cleaning up."""

    def __enter__(self) -> Self:
        """Open it. Raises SourceError if it does not exist or cannot be read."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close it."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until it ends or `stop` was called."""
        ...

    def stop(self) -> None:
        """End the iteration soon. Called from a signal handler: it must not take a lock."""
        ...


class Observer(Protocol):
    """Gets the state of a camera."""

    def waiting(self, what: str) -> None:
        """There is no frame at the moment. Called repeatedly, from the thread that iterates."""
        ...

    def remark(self, what: str) -> None:
        """Something is wrong with the frames; empty when they are good again."""
        ...


def open_source(config: RunConfig | str, *, paced: bool = True, observer: Observer | None = None) -> Source:
    """Choose the configured source; `auto` is a ribbon-cable camera, else another camera, else the demo.

    Args:
        config: configuration of the run; or only its `source`, such as "0", "clip.mp4" or "demo".
        paced: whether the demo runs in real time; a benchmark needs it as fast as possible.
        observer: gets the state of a camera.

    Raises:
        SourceError: there is nothing with that name.
        ConfigError: `source_fps` is given for a source that is not a file.
    """
    config = RunConfig(source=config) if isinstance(config, str) else config
    if config.source in NAMED_SOURCES and Path(config.source).exists():
        _log.warning("%s is the source of that name; the file or folder is ./%s", config.source, config.source)
    source = _choose(config, config.source, paced, observer)
    if config.source_fps and (source.live or source.stills or config.source == "demo"):
        raise ConfigError(f"--source-fps is for raw video files; {source.description} is none. A camera has camera.fps")
    return source


def _choose(config: RunConfig, name: str, paced: bool, observer: Observer | None) -> Source:
    scheme, separator, rest = name.partition("://")
    if separator:
        name = f"{scheme.lower()}://{rest}"  # FFmpeg knows schemes in lower case only
    if name == "demo":
        return _demo(paced)
    if name == "auto":
        return _auto(config, paced, observer)
    if name.partition(":")[0] == "picamera2":
        return _picamera2(config, name, observer)
    if name.startswith("ftp://"):
        raise SourceError(f"{without_password(name)}: ftp:// is not read directly. Download the file first: wget URL")
    if name.startswith(("http://", "https://")):
        return _http(config, name, observer)
    if "://" in name or _is_camera(name):
        return _camera(config, name, observer)
    return _files(config, Path(name))


def _is_camera(name: str) -> bool:
    """Whether a name means a camera: by what exists, or by its form if nothing exists."""
    path = Path(name)
    if os.path.exists(path):  # noqa: PTH110 - a name too long is no file
        is_number = name.isdecimal() and not path.is_dir() and Path(f"/dev/video{name}").exists()
        return is_number or path.is_char_device()
    return name.isdecimal() or name.startswith("/dev/")


def _files(config: RunConfig, path: Path) -> Source:
    if not os.path.exists(path):  # noqa: PTH110
        meant = closest(str(path), NAMED_SOURCES)
        fix = f"Did you mean {meant}?" if meant else "Try fer-edge run demo"
        raise SourceError(f"source '{path}' is no file, folder, camera number or URL. {fix}")
    if path.is_dir() or is_picture(path):
        return _images(path, config.recursive)
    if path.is_file() and (why := why_unsuited(path)):
        raise SourceError(f"{path}: {why}")
    return _video(path, config.source_fps)


def _auto(config: RunConfig, paced: bool, observer: Observer | None) -> Source:
    from fer_edge.sources.auto import AutoSource  # noqa: PLC0415
    from fer_edge.sources.camera import find_camera, why_no_camera  # noqa: PLC0415
    from fer_edge.sources.picamera2 import find_ribbon_camera  # noqa: PLC0415

    if config.camera.wait:
        return AutoSource(config.camera, config.detector.scan_width, observer)
    ribbon = find_ribbon_camera()
    if ribbon is not None:
        return _picamera2(config, f"picamera2:{ribbon}", observer)
    device = find_camera()
    if device is None:
        why = why_no_camera()
        _log.warning(
            "no camera delivers frames%s: showing the built-in demo (composite faces). Choose another with --source",
            f" ({why})" if why else "",
        )
        return _demo(paced)
    return _camera(config, device, observer)


def _http(config: RunConfig, url: str, observer: Observer | None) -> Source:
    from fer_edge.sources.network import open_url  # noqa: PLC0415

    return open_url(config, url, observer)


def _camera(config: RunConfig, name: str, observer: Observer | None) -> Source:
    from fer_edge.sources.camera import CameraSource  # noqa: PLC0415

    return CameraSource(name, config.camera, observer)


def _picamera2(config: RunConfig, name: str, observer: Observer | None) -> Source:
    from fer_edge.sources.picamera2 import Picamera2Source  # noqa: PLC0415

    return Picamera2Source(name, config.camera, config.detector.scan_width, observer)


def _demo(paced: bool) -> Source:
    from fer_edge.sources.demo import DemoSource  # noqa: PLC0415

    return DemoSource(paced=paced)


def _images(path: Path, recursive: bool) -> Source:
    from fer_edge.sources.pictures import PictureSource  # noqa: PLC0415

    return PictureSource(path, recursive=recursive)


def _video(path: Path, fps: float | None) -> Source:
    from fer_edge.sources.video import VideoSource  # noqa: PLC0415

    return VideoSource(path, fps)
