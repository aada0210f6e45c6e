"""What works on this machine and what does not, with the mend."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fer_edge import __version__
from fer_edge.errors import FerError


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. A part that is not needed may be absent without harm."""

    part: str
    works: bool
    needed: bool
    finding: str


def examine(model: str) -> list[Check]:
    """Try every part."""
    return [
        Check("fer-edge", True, True, f"{__version__} on Python {platform.python_version()}, {platform.machine()}"),
        _try("OpenCV", _opencv),
        _try("Haar cascade", _cascade),
        _try("TFLite runtime", _runtime),
        _try("model", lambda: _model(model)),
        _try("camera", _camera, needed=False),
        _try("display", _display, needed=False),
    ]


def _try(part: str, look: Callable[[], str], *, needed: bool = True) -> Check:
    try:
        return Check(part, True, needed, look())
    except FerError as error:
        return Check(part, False, needed, str(error))


def _opencv() -> str:
    from fer_edge.opencv import require_opencv  # noqa: PLC0415 - each check must survive what the others lack

    return require_opencv()


def _cascade() -> str:
    _opencv()
    from fer_edge.config import DetectorConfig  # noqa: PLC0415
    from fer_edge.detectors.haar import HaarDetector, find_cascade  # noqa: PLC0415

    HaarDetector(DetectorConfig())
    return str(find_cascade())


def _runtime() -> str:
    from fer_edge.interpreter import runtime_name  # noqa: PLC0415

    return runtime_name()


def _model(name: str) -> str:
    """Verify the hashes and compare the model's answers with the golden ones."""
    _opencv()
    from fer_edge.bundle import find_bundle  # noqa: PLC0415
    from fer_edge.selftest import verify  # noqa: PLC0415

    return verify(find_bundle(name))


def _camera() -> str:
    _opencv()
    from fer_edge.sources.camera import find_camera  # noqa: PLC0415

    device = find_camera()
    if device:
        return f"{device} delivers pictures"
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    if not found:
        raise FerError("no /dev/video*. Connect a camera; --source demo runs without one")
    unreadable = [path for path in found if not os.access(path, os.R_OK | os.W_OK)]
    if unreadable:
        raise FerError(f"{unreadable[0]} may not be opened. Mend: sudo usermod -aG video $USER, then log in again")
    raise FerError(f"{', '.join(found)}: none delivers a picture. In use elsewhere?")


def _display() -> str:
    if find_spec("pygame") is None:
        raise FerError("pygame-ce is not installed. Mend: pip install 'fer-edge[display]'")
    for variable in ("WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(variable):
            return f"{variable}={os.environ[variable]}"
    raise FerError("no desktop (neither DISPLAY nor WAYLAND_DISPLAY is set): use --record or --json")
