"""Which source a name means, and what is said where there is none. A stand-in of cameras for `auto`."""

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.config import CameraConfig, RunConfig
from fer_edge.errors import ConfigError, MissingDependency, SourceError
from fer_edge.sources import Source, camera, open_source, picamera2
from fer_edge.sources.auto import AutoSource
from fer_edge.sources.pictures import PictureSource
from fer_edge.sources.video import VideoSource


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, on a machine without a camera."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera, "possible_cameras", lambda *_: [])
    monkeypatch.setattr(picamera2, "find_ribbon_camera", lambda: None)
    return tmp_path


def refusal(name: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("3", "camera 3"),
        ("/dev/video93", "camera /dev/video93"),
        ("/dev/null", "camera /dev/null"),
        ("rtsp://ada:secret@cam/1", "rtsp://cam/1"),
        ("RTSP://cam/A", "rtsp://cam/A"),
    ],
)
def test_numbers_devices_and_urls_are_cameras(name: str, description: str) -> None:
    source = open_source(name)
    assert (source.description, source.live, source.stills, source.frames) == (description, True, False, None)


def test_a_file_or_folder_whose_name_is_a_number_is_one(folder: Path) -> None:
    (folder / "91").write_bytes(b"a film")
    (folder / "92").mkdir()
    assert isinstance(open_source("91"), VideoSource)
    assert isinstance(open_source("92"), PictureSource)
    assert open_source("93").live


def test_a_picture_is_a_still_and_another_file_is_a_film(folder: Path) -> None:
    cv2.imwrite("a.png", np.zeros((4, 4, 3), np.uint8))
    (folder / "b.mp4").write_bytes(b"a film")
    assert open_source("a.png").stills
    film = open_source("b.mp4")
    assert (film.stills, film.live, film.description) == (False, False, "b.mp4")


def test_subfolders_are_read_on_request(folder: Path) -> None:
    (folder / "pictures/inner").mkdir(parents=True)
    for name in ("pictures/a.png", "pictures/inner/b.png"):
        cv2.imwrite(name, np.zeros((4, 4, 3), np.uint8))
    for recursive, count in ((False, 1), (True, 2)):
        with open_source(RunConfig(source="pictures", recursive=recursive)) as source:
            assert len(list(source)) == count


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("dmeo", "Did you mean demo?"),
        ("picamera", "Did you mean picamera2?"),
        ("no/such.mp4", "Try fer-edge run demo"),
        ("x" * 5000, "Try fer-edge run demo"),
    ],
)
def test_a_name_of_nothing_is_an_error_with_a_hint(name: str, fix: str) -> None:
    assert refusal(name) == f"source '{name}' is no file, folder, camera number or URL. {fix}"


@pytest.mark.parametrize("scheme", ["ftp", "FTP"])
def test_a_file_of_an_ftp_server_must_be_downloaded(scheme: str) -> None:
    said = refusal(f"{scheme}://ada:secret@host/a.mp4")
    assert said == "ftp://host/a.mp4: ftp:// is not read directly. Download the file first: wget URL"


def test_a_file_that_has_the_name_of_a_source_is_pointed_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert open_source("demo").description == "the built-in demo"
    assert not caplog.messages
    (folder / "demo").mkdir()
    assert open_source("demo").description == "the built-in demo"
    assert caplog.messages == ["demo is the source of that name; the file or folder is ./demo"]
    assert isinstance(open_source("./demo"), PictureSource)
    assert len(caplog.messages) == 1


def test_a_rate_is_for_films_alone(folder: Path) -> None:
    cv2.imwrite("a.png", np.zeros((4, 4, 3), np.uint8))
    for name, description in (("demo", "the built-in demo"), ("93", "camera 93"), ("a.png", "a.png")):
        with pytest.raises(ConfigError) as caught:
            open_source(RunConfig(source=name, source_fps=10))
        said = f"--source-fps is for raw video files; {description} is none. A camera has camera.fps"
        assert str(caught.value) == said
    with pytest.raises(ConfigError):
        open_source(RunConfig(source="demo", source_fps=10), paced=False)
    pictures = (np.full((48, 64, 3), level, np.uint8) for level in (0, 100, 200))
    (folder / "raw").write_bytes(b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures))
    with open_source(RunConfig(source="raw", source_fps=4)) as source:
        assert [frame.captured_at for frame in source] == [0, 0.25, 0.5]


@pytest.mark.parametrize("name", ["demo", "auto"])
def test_a_benchmark_needs_the_demo_as_fast_as_possible(name: str) -> None:
    assert open_source(name).live
    assert not open_source(name, paced=False).live


def test_without_a_camera_the_demo_is_shown_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert open_source("auto").description == "the built-in demo"
    assert caplog.messages == [
        "no camera delivers frames: showing the built-in demo (composite faces). Choose another with --source"
    ]


def test_why_the_first_camera_fails_is_said_with_the_demo(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device = folder / "video9"
    device.touch()
    monkeypatch.setattr(camera, "possible_cameras", lambda *_: [device])
    assert open_source("auto").description == "the built-in demo"
    assert caplog.messages == [
        f"no camera delivers frames ({device} is no video device): showing the built-in demo (composite faces). "
        "Choose another with --source"
    ]
    with pytest.raises(SourceError) as caught, AutoSource(CameraConfig(), 320):
        pass
    assert str(caught.value) == f"the camera cannot be opened: {device} is no video device"


class Device:
    """A camera that delivers so many pictures and is lost then."""

    opened: "list[str]" = []  # noqa: RUF012 - emptied for each test
    asked: "dict[int, float]" = {}  # noqa: RUF012

    def __init__(self, name: str, _backend: int = 0) -> None:
        self.opened.append(name)
        self._left = 5

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, object]:
        self._left -= 1
        return self._left >= 0, np.full((4, 6, 3), 40 * max(self._left, 0), np.uint8)

    def set(self, what: int, value: float) -> None:
        self.asked[what] = value

    def get(self, _what: int) -> float:
        return 0.0

    def release(self) -> None:
        return


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> type[Device]:
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    monkeypatch.setattr(camera, "possible_cameras", lambda *_: [Path("/dev/video7")])
    Device.opened.clear()
    Device.asked.clear()
    return Device


class Observer:
    """Remembers what it is told, and stops the source when it is lost."""

    source: Source

    def __init__(self) -> None:
        self.said: list[str] = []

    def waiting(self, what: str) -> None:
        self.said.append(what)
        self.source.stop()

    def remark(self, what: str) -> None:
        self.said.append(what)


@pytest.mark.parametrize(
    ("name", "wait", "description"),
    [
        ("auto", False, "camera /dev/video7"),
        ("auto", True, "the camera"),
        ("7", False, "camera 7"),
        ("/dev/video7", True, "camera /dev/video7"),
    ],
)
def test_a_camera_is_opened_as_configured_and_its_loss_is_observed(
    name: str, wait: bool, description: str, device: type[Device]
) -> None:
    observer = Observer()
    config = RunConfig(source=name, camera=CameraConfig(wait=wait, width=800, height=600, fps=12))
    source = observer.source = open_source(config, observer=observer)
    assert (source.description, source.fps, source.live) == (description, 12, True)
    late = threading.Timer(20, source.stop)
    late.start()
    with source:
        frames = iter(source)
        frame = next(frames)
        assert frame.image.shape == (4, 6, 3)
        assert len(list(frames)) < 5
    late.cancel()
    assert observer.said == [description]
    assert set(device.opened) == {"/dev/video7"}
    asked = [device.asked[what] for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)]
    assert asked == [800, 600, 12]


@pytest.mark.skipif(os.path.exists("/usr/lib/python3/dist-packages/picamera2"), reason="picamera2 is installed")  # noqa: PTH110
def test_a_ribbon_camera_needs_its_library() -> None:
    for name in ("picamera2", "picamera2:1"):
        with pytest.raises(MissingDependency, match=r"picamera2 cannot be imported .*Fix: sudo apt install"):
            open_source(name)
