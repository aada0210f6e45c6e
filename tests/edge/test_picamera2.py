"""What is asked of picamera2, and how its buffers become frames: a stand-in of that library, which a Pi alone has.

The library itself is run by tests/hardware/test_picamera2.py.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.clock import Clock
from tests.conftest import wait_until

from fer_edge.config import CameraConfig, RunConfig
from fer_edge.errors import SourceError
from fer_edge.sources import camera, live, open_source
from fer_edge.sources.auto import AutoSource
from fer_edge.sources.picamera2 import Picamera2Source, find_ribbon_camera, opener

USB, FIRST, SECOND = "/base/scb/pcie/usb@0-1:1.0", "/base/soc/i2c@1/imx219@10", "/base/soc/i2c@2/imx708@1a"
# Grey level, blue and red difference of colours in BT.601, as NV12 holds them.
BLUE, RED = (41, 240, 110), (82, 90, 240)


class LiveClock(Clock):
    """Lets other threads go on, too."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(0.001)


class Library:
    """The class `Picamera2`, with cameras and faults as a test wants them. Lines have 64 bytes or a multiple."""

    cameras: tuple[str, ...] = (FIRST, SECOND)
    fault: Exception | None = None
    opened: "list[Library]"

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = 0
        self.waited = 0.0
        self.asked: dict[str, Any] = {}
        self.opened.append(self)

    @classmethod
    def global_camera_info(cls) -> list[dict[str, str]]:
        return [{"Id": identity} for identity in cls.cameras]

    def create_video_configuration(self, **asked: Any) -> dict[str, Any]:
        return asked

    def configure(self, asked: dict[str, Any]) -> None:
        self.asked = asked

    def start(self) -> None:
        if self.fault:
            raise self.fault

    def close(self) -> None:
        self.closed += 1

    def stream_configuration(self, stream: str) -> dict[str, int]:
        return {"stride": -(-self.asked[stream]["size"][0] // 64) * 64}

    @contextmanager
    def captured_request(self, wait: float) -> Iterator["Library"]:
        self.waited = wait
        if self.fault:
            raise self.fault
        yield self

    def make_buffer(self, stream: str) -> npt.NDArray[np.uint8]:
        """The left half is blue and the right half red; what pads the lines is green, and so are lines too many."""
        width, height = self.asked[stream]["size"]
        stride = self.stream_configuration(stream)["stride"]
        levels = np.full((height, stride), 145, np.uint8)
        colours = np.full((height // 2, stride // 2, 2), (54, 34), np.uint8)
        for (level, *colour), start in ((BLUE, 0), (RED, width // 2)):
            levels[:, start:width] = level
            colours[:, start // 2 : width // 2] = colour
        return np.concatenate([levels.ravel(), colours.ravel(), np.full(4096, 34, np.uint8)])

    def get_metadata(self) -> dict[str, int]:
        return {"SensorTimestamp": 5_250_000_000}


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> type[Library]:
    class Fresh(Library):
        opened: list[Library] = []  # noqa: RUF012 - the test's own

    for name, content in (("picamera2", {"Picamera2": Fresh}), ("libcamera", {"Transform": dict})):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return Fresh


def colours(image: npt.NDArray[np.uint8]) -> list[str]:
    """What is left, right, above and below the middle."""
    height, width = image.shape[:2]
    places = ((height // 2, 2), (height // 2, -3), (2, width // 2), (-3, width // 2))
    return ["BGR"[int(image[place].argmax())] for place in places]


@pytest.mark.parametrize(
    ("rotation", "hflip", "vflip", "asked"),
    [
        (0, False, False, (False, False)),
        (0, True, False, (True, False)),
        (180, False, False, (True, True)),
        (180, False, True, (True, False)),
        (90, False, True, (False, True)),
        (270, False, False, (True, True)),
        (270, True, False, (False, True)),
    ],
)
def test_the_image_processor_flips_and_makes_half_turns_and_quarters_are_turned_here(
    library: type[Library], rotation: int, hflip: bool, vflip: bool, asked: tuple[bool, bool]
) -> None:
    config = CameraConfig.model_validate(
        {"width": 100, "height": 60, "fps": 25, "rotation": rotation, "hflip": hflip, "vflip": vflip}
    )
    capture = opener("0", config, 50)()
    assert capture is not None
    camera = library.opened[0]
    assert camera.asked["transform"] == {"hflip": asked[0], "vflip": asked[1]}
    assert camera.asked["controls"] == {"FrameRate": 25}
    assert camera.asked["main"] == {"size": (100, 60), "format": "NV12"}
    assert camera.asked["lores"] == {"size": (50, 30), "format": "NV12"}
    shot = capture.read()
    assert shot is not None
    assert shot.small is not None
    assert (shot.taken_at, capture.fps) == (5.25, 25)
    for image, width, height in ((shot.image, 100, 60), (shot.small, 50, 30)):
        if rotation % 180:  # what was left is above: a quarter clockwise
            assert image.shape == (width, height, 3)
            assert "".join(colours(image)[2:]) == "BR"
        else:
            assert image.shape == (height, width, 3)
            assert "".join(colours(image)[:2]) == "BR"


def test_sizes_are_even_and_the_small_picture_is_no_larger_than_the_other(library: type[Library]) -> None:
    for width, height, scan_width in ((1025, 577, 320), (640, 480, 1280)):
        assert opener("0", CameraConfig(width=width, height=height), scan_width)() is not None
    sizes = [[camera.asked[stream]["size"] for stream in ("main", "lores")] for camera in library.opened]
    assert sizes == [[(1024, 576), (320, 180)], [(640, 480), (640, 480)]]


def test_a_camera_is_chosen_by_its_number_or_id(library: type[Library]) -> None:
    for which in ("0", "1", SECOND, FIRST):
        assert opener(which, CameraConfig(), 320)() is not None
    assert [camera.number for camera in library.opened] == [0, 1, 1, 0]
    for name in ("picamera2", "picamera2:1", f"picamera2:{SECOND}"):
        assert Picamera2Source(name, CameraConfig(), 320).description == f"{name} camera"
    with pytest.raises(SourceError, match=rf"has no camera 2. Cameras: 0 \({FIRST}\), 1 \({SECOND}\). Is the ribbon"):
        Picamera2Source("picamera2:2", CameraConfig(), 320)
    Picamera2Source("picamera2:2", CameraConfig(wait=True), 320)
    assert opener("2", CameraConfig(), 320)() is None, "it may come later"


def test_a_usb_camera_is_none_on_a_ribbon(library: type[Library]) -> None:
    library.cameras = (USB, SECOND)
    assert find_ribbon_camera() == SECOND
    library.cameras = (USB,)
    assert find_ribbon_camera() is None


def test_a_camera_that_does_not_start_is_closed_and_said_once(
    library: type[Library], caplog: pytest.LogCaptureFixture
) -> None:
    open_capture = opener("0", CameraConfig(), 320)
    for fault in ("busy", "busy", "no memory"):
        library.fault = RuntimeError(fault)
        assert open_capture() is None
    assert [camera.closed for camera in library.opened] == [1, 1, 1]
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == ["camera 0 does not start: busy", "camera 0 does not start: no memory"]


@pytest.mark.parametrize("fault", [TimeoutError(), RuntimeError("the cable")])
def test_a_camera_that_delivers_nothing_for_two_seconds_is_lost(library: type[Library], fault: Exception) -> None:
    capture = opener("0", CameraConfig(), 320)()
    assert capture is not None
    library.fault = fault
    assert capture.read() is None
    assert library.opened[0].waited == 2.0
    capture.release()
    assert library.opened[0].closed == 1


@pytest.mark.parametrize(
    ("name", "wait", "cameras", "description", "number"),
    [
        ("picamera2", False, (FIRST, SECOND), "picamera2 camera", 0),
        ("picamera2:1", True, (FIRST, SECOND), "picamera2:1 camera", 1),
        ("auto", False, (USB, SECOND, FIRST), f"picamera2:{SECOND} camera", 1),
        ("auto", True, (USB, SECOND, FIRST), "the camera", 1),
    ],
)
def test_a_source_opens_the_camera_on_the_ribbon_cable_as_configured(
    library: type[Library], name: str, wait: bool, cameras: tuple[str, ...], description: str, number: int
) -> None:
    library.cameras = cameras
    config = RunConfig(source=name, camera=CameraConfig(width=100, height=60, fps=12, wait=wait))
    config = config.model_copy(update={"detector": config.detector.model_copy(update={"scan_width": 50})})
    source = open_source(config)
    assert (source.description, source.fps) == (description, 12)
    late = threading.Timer(20, source.stop)
    late.start()
    with source:
        frame = next(iter(source))
    late.cancel()
    assert frame.image.shape == (60, 100, 3)
    assert frame.small is not None
    assert frame.small.shape == (30, 50, 3)
    assert [opened.number for opened in library.opened] == [number]


def test_a_lost_camera_is_opened_again_though_another_one_was_found_meanwhile(
    library: type[Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "time", LiveClock())
    library.cameras = (FIRST,)
    source = AutoSource(CameraConfig(width=100, height=60, wait=True), 50)
    with source:
        frames = iter(source)
        next(frames)
        library.cameras = (SECOND, FIRST)
        library.fault = RuntimeError("the cable is loose")
        wait_until(lambda: library.opened[0].closed == 1)
        library.fault = None
        wait_until(lambda: len(library.opened) > 1 and not library.opened[-1].closed)
        next(frames)
    assert library.opened[-1].number == 1, "the first one, which is the second of the list now"


def test_a_camera_that_does_not_start_is_reported_once(
    library: type[Library], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "time", LiveClock())
    library.fault = RuntimeError("in use")
    with AutoSource(CameraConfig(width=100, height=60, wait=True), 50):
        wait_until(lambda: len(library.opened) > 2)
    said = [message for message in caplog.messages if "does not start" in message]
    assert said == [f"camera {FIRST} does not start: in use"]


def test_auto_searches_for_another_camera_where_none_is_on_the_ribbon_cable(
    library: type[Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "possible_cameras", lambda *_: [])
    library.cameras = (USB,)
    with (
        pytest.raises(SourceError, match=r"^the camera cannot be opened or delivers no frame"),
        AutoSource(CameraConfig(), 50),
    ):
        pass
    assert open_source("auto").description == "the built-in demo"
