"""USB cameras: what OpenCV is asked for, and what is done with what it delivers. A stand-in for `cv2.VideoCapture`."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.clock import Clock

from fer_edge.config import CameraConfig
from fer_edge.errors import SourceError
from fer_edge.sources import camera
from fer_edge.sources.camera import CameraSource, OpenCvCapture, find_camera, opener

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
URL = "rtsp://camera/live"


class Device:
    """An open capture that delivers these pictures in turn, the last one for ever; None where it delivers none."""

    opened: "list[Device]" = []  # noqa: RUF012 - emptied for each test
    pictures: "dict[str, Sequence[np.ndarray | Exception | None]]" = {}  # noqa: RUF012
    formats: "dict[str, str]" = {}  # noqa: RUF012

    def __init__(self, name: str, _backend: int = 0, options: list[int] | None = None) -> None:
        self.name = name
        self.options = options
        self.asked: list[tuple[int, float]] = []
        self.released = 0
        self._pictures = [*self.pictures.get(name, [PICTURE])]
        self.opened.append(self)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, object]:
        picture = self._pictures.pop(0) if len(self._pictures) > 1 else self._pictures[0]
        if isinstance(picture, Exception):
            raise picture
        return picture is not None, picture

    def set(self, what: int, value: float) -> bool:
        self.asked.append((what, value))
        return True

    def get(self, what: int) -> float:
        if what == cv2.CAP_PROP_FOURCC:
            return cv2.VideoWriter.fourcc(*self.formats.get(self.name, "YUYV"))
        return 25.0

    def release(self) -> None:
        self.released += 1


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> type[Device]:
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    for name, value in (("opened", []), ("pictures", {}), ("formats", {})):
        monkeypatch.setattr(Device, name, value)
    return Device


def test_a_camera_is_asked_for_format_then_size_then_rate(device: type[Device]) -> None:
    device.formats["/dev/video2"] = "MJPG"
    capture = opener("2", CameraConfig(width=1280, height=720, fps=15, pixel_format="MJPG"))()
    assert capture is not None
    assert capture.fps == 25.0
    (opened,) = device.opened
    assert opened.name == "/dev/video2"
    assert opened.asked == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 15),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    ]
    assert opened.released == 0
    capture.release()
    assert opened.released == 1


def test_a_camera_without_the_format_is_refused_and_released(device: type[Device]) -> None:
    with pytest.raises(SourceError, match=r"camera /dev/video0 does not support MJPG: change pixel_format"):
        opener("/dev/video0", CameraConfig(pixel_format="MJPG"))()
    assert [opened.released for opened in device.opened] == [1]
    assert opener("/dev/video0", CameraConfig(pixel_format="YUYV"))() is not None
    assert opener("/dev/video0", CameraConfig())() is not None


def test_a_device_that_delivers_nothing_is_released(device: type[Device], monkeypatch: pytest.MonkeyPatch) -> None:
    device.pictures["/dev/video0"] = [None]
    assert opener("0", CameraConfig())() is None
    monkeypatch.setattr(camera, "possible_cameras", lambda *_: [Path("/dev/video0"), Path("/dev/video1")])
    assert find_camera() == "/dev/video1"
    assert [(opened.name, opened.released) for opened in device.opened] == [
        ("/dev/video0", 1),
        ("/dev/video0", 1),
        ("/dev/video1", 1),
    ]
    assert opener("auto", CameraConfig())() is not None
    assert (device.opened[-1].name, device.opened[-1].released) == ("/dev/video1", 0)
    device.pictures["/dev/video1"] = [cv2.error("damaged")]
    assert opener("auto", CameraConfig())() is None


def test_a_stream_that_is_open_already_is_used_once(device: type[Device]) -> None:
    """Some cameras serve one viewer: it must not be opened again while it is open."""
    first = device(URL)
    open_capture = opener(URL, CameraConfig(), first)  # type: ignore[arg-type]
    for _ in range(2):
        assert open_capture() is not None
    assert [opened.name for opened in device.opened] == [URL, URL]
    assert device.opened[1].options == [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 3000]


@pytest.mark.parametrize("damaged", [0, 3, 10, 11])
def test_ten_damaged_pictures_in_a_row_are_skipped_and_counted(
    device: type[Device], monkeypatch: pytest.MonkeyPatch, damaged: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr(camera, "time", Clock())
    faults = [None, cv2.error("damaged"), None] * 4
    device.pictures["0"] = [*faults[:damaged], PICTURE]
    shot = OpenCvCapture(device("0"), CameraConfig()).read()  # type: ignore[arg-type]
    if damaged > 10:
        assert shot is None, "it is lost"
        return
    assert shot is not None
    assert shot.skipped == damaged
    assert caplog.messages == ([f"{damaged} pictures in a row could not be decoded"] if damaged else [])


def test_damaged_pictures_are_skipped_for_a_second(device: type[Device], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(camera, "time", clock)
    device.pictures["0"] = [None, None, None, PICTURE]
    slow = device("0")

    def read() -> tuple[bool, object]:
        clock.now += 0.4
        return Device.read(slow)

    monkeypatch.setattr(slow, "read", read)
    assert OpenCvCapture(slow, CameraConfig()).read() is None  # type: ignore[arg-type]
    assert clock.now == pytest.approx(101.2)


@pytest.mark.parametrize(
    ("hflip", "vflip", "seen"),
    [(True, False, PICTURE[:, ::-1]), (False, True, PICTURE[::-1]), (True, True, PICTURE[::-1, ::-1])],
)
def test_left_and_right_and_above_and_below_are_told_apart(
    device: type[Device], hflip: bool, vflip: bool, seen: np.ndarray
) -> None:
    shot = OpenCvCapture(device("0"), CameraConfig(hflip=hflip, vflip=vflip)).read()  # type: ignore[arg-type]
    assert shot is not None
    assert np.array_equal(shot.image, seen)


def test_a_camera_that_does_not_open_or_is_not_there_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "isOpened", lambda _: False)
    with pytest.raises(SourceError, match=r"^camera 95 cannot be opened: there is no /dev/video95\."):
        CameraSource("95", CameraConfig()).__enter__()
    file = tmp_path / "video9"
    file.touch()
    with pytest.raises(SourceError) as caught:
        CameraSource(str(file), CameraConfig()).__enter__()
    assert str(caught.value) == f"camera {file} cannot be opened: {file} is no video device"
    monkeypatch.setattr(camera, "possible_cameras", lambda *_: [file, Path("/dev/video95")])
    assert camera.why_no_camera() == f"{file} is no video device"
    monkeypatch.setattr(camera, "possible_cameras", lambda *_: [])
    assert camera.why_no_camera() == ""
    assert find_camera() is None


def test_a_camera_is_refused_with_the_way_to_see_its_formats(device: type[Device]) -> None:
    with pytest.raises(SourceError) as caught:
        opener("4", CameraConfig(pixel_format="MJPG"))()
    assert str(caught.value) == (
        "camera /dev/video4 does not support MJPG: change pixel_format under [camera]. "
        "What it has: v4l2-ctl --device=/dev/video4 --list-formats"
    )
    assert len(device.opened) == 1


def test_devices_that_the_kernel_names_as_no_cameras_are_left_out(tmp_path: Path) -> None:
    names = (
        "bcm2835-codec-decode",
        "HD Webcam: camera",
        "bcm2835-isp-output0",
        "pispbe-input",
        "",
        "rpi-hevc-dec",
        "rpivid",
    )
    for number, name in zip((0, 2, 10, 13, 3, 19, 20), names, strict=True):
        (tmp_path / f"video{number}").touch()
        (tmp_path / "sys" / f"video{number}").mkdir(parents=True)
        if name:
            (tmp_path / "sys" / f"video{number}" / "name").write_text(f"{name}\n")
    (tmp_path / "media0").touch()
    (tmp_path / "video11").touch()
    found = camera.possible_cameras(tmp_path, tmp_path / "sys")
    assert [device.name for device in found] == ["video2", "video3", "video11"]


def test_a_camera_whose_format_is_unknown_is_refused_too(device: type[Device], monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV gives -1 then."""
    monkeypatch.setattr(device, "get", lambda *_: -1.0)
    with pytest.raises(SourceError, match=r"^camera /dev/video0 does not support MJPG: "):
        opener("0", CameraConfig(pixel_format="MJPG"))()


def test_cameras_are_looked_for_where_linux_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def none(*folders: Path) -> list[Path]:
        asked.append(folders)
        return []

    monkeypatch.setattr(camera, "possible_cameras", none)
    assert find_camera() is None
    assert camera.why_no_camera() == ""
    assert asked == [(Path("/dev"), Path("/sys/class/video4linux"))] * 2


def test_a_source_uses_the_stream_that_is_open_already(device: type[Device]) -> None:
    first = device(URL)
    with CameraSource(URL, CameraConfig(), first=first) as source:  # type: ignore[arg-type]
        assert next(iter(source)).image.shape == (2, 3, 3)
    assert device.opened == [first]
