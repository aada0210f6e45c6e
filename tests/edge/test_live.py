"""Cameras that are slow, late or lost: openers that behave like such cameras, in real threads."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.clock import Clock
from tests.conftest import wait_until

from fer_edge.config import CameraConfig, RunConfig
from fer_edge.errors import SourceError
from fer_edge.sources import open_source
from fer_edge.sources.camera import CameraSource, possible_cameras
from fer_edge.sources.capture import Capture, Shot, Timeouts
from fer_edge.sources.frame_health import FrameHealthMonitor
from fer_edge.sources.live import LiveSource
from fer_edge.sources.log_limiter import LogRateLimiter
from fer_edge.types import Frame


class Pictures:
    """An open camera that vanishes after so many pictures."""

    fps = 100.0

    def __init__(self, count: int = 1_000_000) -> None:
        self.released = False
        self._left = count

    def read(self) -> Shot | None:
        time.sleep(0.01)
        self._left -= 1
        noise = np.random.default_rng(abs(self._left)).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        return Shot(noise, small=noise[::2, ::2]) if self._left >= 0 else None

    def release(self) -> None:
        self.released = True


IMPATIENT = Timeouts(hang=0.4, longest_hang=1.6, hopeless=3, end=0.1, first_pause=0.05, longest_pause=0.1)
PATIENT = replace(IMPATIENT, hang=30, end=30)


def camera(open_capture: Callable[[], Capture | None]) -> LiveSource:
    return LiveSource("the camera", open_capture, fps=30, wait=True, timeouts=IMPATIENT)


def taken(source: LiveSource) -> Iterator[int]:
    """The numbers of its frames, until the test stops it."""
    late = threading.Timer(90, source.stop)
    late.start()
    try:
        with source:
            for frame in source:
                yield frame.index
    finally:
        late.cancel()


class LiveClock(Clock):
    """Lets other threads go on, too."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = LiveClock(1000.0)
    monkeypatch.setattr("fer_edge.sources.live.time", clock)
    return clock


def test_a_camera_that_is_slow_to_open_is_used_when_it_is_open() -> None:
    captures: list[Pictures] = []

    def open_slowly() -> Capture:
        time.sleep(0.6)  # longer than it takes to be left behind
        captures.append(Pictures())
        return captures[-1]

    source = camera(open_slowly)
    for number in taken(source):
        if number >= 50 and len(captures) == 2 and captures[1].released:
            source.stop()  # the second reader has found that the first was quicker
    assert (number >= 50, len(captures), captures[1].released) == (True, 2, True)


def test_a_camera_that_is_slow_to_be_found_absent_is_waited_for() -> None:
    """Beyond the time after which one that hangs is given up; each time a reader may take is twice the last."""
    source: LiveSource
    began = time.monotonic()

    def find_nothing() -> None:
        if time.monotonic() - began > IMPATIENT.hopeless + 1:
            source.stop()
        time.sleep(0.5)

    source = LiveSource("the camera", find_nothing, fps=30, wait=True, timeouts=replace(IMPATIENT, hang=0.1))
    assert not list(taken(source))
    assert time.monotonic() - began > IMPATIENT.hopeless


def test_the_pauses_between_attempts_become_longer_until_a_camera_was_steady(clock: Clock) -> None:
    opened_at: list[float] = []

    class Minute(Pictures):
        def read(self) -> Shot | None:
            clock.now += 20
            return super().read()

    captures: list[Pictures | None] = [None] * 7 + [Pictures(3), Minute(3)] + [None] * 99

    def find() -> Capture | None:
        opened_at.append(clock.now)
        return captures[len(opened_at) - 1]

    with LiveSource("the camera", find, fps=30, wait=True) as source:
        wait_until(lambda: len(opened_at) > 10)
        source.stop()
    pauses = [after - before for before, after in pairwise(opened_at)]
    assert pauses[:8] == pytest.approx([0.6, 1, 2, 4, 8, 10, 10, 10], abs=0.21), "polled five times per second"
    assert pauses[8:10] == pytest.approx([80.6, 1], abs=0.21), "one that delivers for a moment is not steady"


def test_each_reader_that_hangs_has_twice_the_time_of_the_last_until_there_is_a_frame(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock goes on whenever it is read while all readers hang: two open, one reads, and so on."""
    monkeypatch.setattr("fer_edge.sources.live._POLL", 0.001)
    freed, hung_at, others = threading.Event(), [], set(threading.enumerate())  # perhaps readers of earlier tests

    def hang() -> None:
        hung_at.append(clock.now)
        freed.wait(90)

    def tick() -> float:
        readers = sum(thread.name == "camera" for thread in set(threading.enumerate()) - others)
        clock.now += 0.25 if readers == len(hung_at) else 0.0
        return clock.now

    class Hangs(Pictures):
        def read(self) -> Shot | None:
            if self._left == 0:
                hang()
            return super().read()

    def open_it() -> Capture:
        if len(hung_at) == 8:
            source.stop()
        elif len(hung_at) not in {4, 5}:
            hang()
        return Hangs(5)

    monkeypatch.setattr(clock, "monotonic", tick)
    source = LiveSource("the camera", open_it, fps=30, wait=True, timeouts=Timeouts(hopeless=10_000, end=0))
    list(taken(source))
    freed.set()
    waits = [after - before for before, after in pairwise(hung_at)]
    assert waits == pytest.approx([15, 30, 60, 60, 15, 15, 30], abs=2)


def test_a_camera_that_hangs_for_good_is_given_up() -> None:
    for_good = threading.Event()
    attempts = iter((Pictures(20),))

    def hang() -> Capture | None:
        capture = next(attempts, None)
        if capture is None:
            for_good.wait(30)
        return capture

    with pytest.raises(SourceError, match="hangs and this process cannot open it again"):
        list(taken(camera(hang)))
    for_good.set()


@pytest.mark.parametrize("wait", [True, False])
def test_a_camera_that_is_not_as_configured_is_refused_and_not_waited_for(
    wait: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As USB cameras without the configured pixel format are; a real one is in tests/hardware/vivid."""

    def refuse() -> Capture | None:
        raise SourceError("camera /dev/video0 does not support MJPG")

    with pytest.raises(SourceError, match="does not support MJPG"):
        list(taken(LiveSource("the camera", refuse, fps=30, wait=wait)))
    assert not caplog.records


class Watcher:
    """Notes what it is told of a camera, and may end the wait for it."""

    def __init__(self) -> None:
        self.waited: list[str] = []
        self.end: Callable[[], None] = lambda: None

    def waiting(self, what: str) -> None:
        self.waited.append(what)
        self.end()

    def remark(self, what: str) -> None:
        raise AssertionError(what)


class Stuck(Pictures):
    """Hangs after ten pictures, until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck, self.freed = threading.Event(), threading.Event()

    def read(self) -> Shot | None:
        if self._left < 999_990:
            self.is_stuck.set()
            self.freed.wait(60)
        return super().read()


class Damaged(Pictures):
    """Three damaged pictures before each good one; nothing is known of the rate."""

    fps = 0.0

    def read(self) -> Shot | None:
        shot = super().read()
        return replace(shot, skipped=3) if shot else None


def test_frames_are_numbered_and_what_was_damaged_is_counted() -> None:
    for capture, fps in ((Pictures(), 100.0), (Damaged(), 30.0)):
        seen: list[Frame] = []
        source = LiveSource("the camera", iter((capture,)).__next__, fps=30, timeouts=PATIENT)
        with source:
            assert (source.fps, source.live, source.frames) == (fps, True, None)
            for frame in source:
                seen.append(frame)
                if len(seen) == 5:
                    source.stop()
        numbers = [frame.index for frame in seen]
        assert numbers == sorted(set(numbers)), "none is handed over twice"
        assert all(frame.live for frame in seen)
        assert {frame.small.shape for frame in seen if frame.small is not None} == {(24, 32, 3)}
        assert source.skipped >= (3 * numbers[-1] if fps == 30 else 0)
        assert source.skipped % 3 == 0
        assert bool(source.skipped) == (fps == 30)
        assert capture.released
        assert not source.hangs


def test_a_lost_camera_is_said_to_be_waited_for_until_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    watcher, attempts = Watcher(), iter((Pictures(2),))

    def find() -> Capture | None:
        return next(attempts, None) or (Pictures() if watcher.waited else None)

    numbers = []
    with LiveSource("the camera", find, fps=30, wait=True, observer=watcher, timeouts=PATIENT) as source:
        for frame in source:
            numbers.append(frame.index)
            if frame.index >= 2:
                break
    assert set(watcher.waited) == {"the camera"}
    assert numbers[0] < 2 <= numbers[-1]
    assert [record.message for record in caplog.records] == [
        "the camera is lost, waiting for it",
        "the camera is back",
    ]


def test_while_there_is_no_frame_it_is_looked_after_five_times_per_second_at_most() -> None:
    watcher = Watcher()
    source = LiveSource("the camera", lambda: None, fps=30, wait=True, observer=watcher, timeouts=PATIENT)
    watcher.end = lambda: source.stop() if len(watcher.waited) == 6 else None
    begun = time.monotonic()
    assert not list(taken(source))
    assert time.monotonic() - begun > 0.9


@pytest.mark.parametrize(("why", "said"), [("no /dev/video0", "no /dev/video0"), ("", "Is it connected")])
def test_a_camera_that_is_not_there_at_the_start_is_explained(
    why: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watcher = Watcher()

    def source(**options: bool) -> LiveSource:
        return LiveSource(
            "the camera", lambda: None, fps=30, observer=watcher, explain=lambda: why, timeouts=PATIENT, **options
        )

    with pytest.raises(SourceError, match=f"the camera cannot be opened.*{said}"), source():
        pass
    assert not watcher.waited
    caplog.clear()
    with source(wait=True) as waiting:
        watcher.end = waiting.stop
        assert not list(waiting)
    (record,) = caplog.records
    assert record.message == f"the camera is not there, waiting for it{': ' if why else ''}{why}"


def test_a_reader_that_cannot_be_stopped_is_told() -> None:
    """The process must not wait for it at its end."""
    stuck = Stuck()
    source = camera(lambda: stuck)
    with source:
        assert stuck.is_stuck.wait(30)
        assert all(thread.daemon for thread in threading.enumerate() if thread.name == "camera")
    assert source.hangs
    stuck.freed.set()


def test_a_camera_that_hangs_while_it_is_read_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    stuck = Stuck()
    captures = iter((stuck,))
    with camera(lambda: next(captures, None) or Pictures()) as source:
        for frame in source:
            if frame.index > 50:
                break
    assert source.hangs, "its first reader does"
    stuck.freed.set()
    assert caplog.messages[:2] == ["the camera hangs: opening it again", "the camera is back"]


def test_a_camera_that_is_lost_repeatedly_is_not_logged_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    opened: list[Pictures] = []

    def loose_contact() -> Capture:
        opened.append(Pictures(3))
        if len(opened) == 8:
            source.stop()
        return opened[-1]

    source = camera(loose_contact)
    assert list(taken(source))
    assert len(opened) == 8
    assert [record.message for record in caplog.records] == [
        "the camera is lost, waiting for it",
        "the camera is back",
    ]


def test_repeated_messages_become_rare_and_start_again_after_a_quiet_hour() -> None:
    sparing = LogRateLimiter()
    said = [second for second in range(0, 86_400, 11) if sparing.allows(second)]
    assert said[:2] == [0, 11]
    assert len(said) < 40
    doubling = LogRateLimiter()
    assert [second for second in range(600) if doubling.allows(second)] == [0, 5, 15, 35, 75, 155, 315]
    assert sparing.allows(100_000)
    assert sparing.allows(100_006)
    said = [second for second in range(200_000, 400_000, 11) if sparing.allows(second)]
    assert max(after - before for before, after in pairwise(said)) <= 3611, "at least once per hour"


def test_pictures_that_change_all_the_time_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Black ones, and among twelve a noisy one; then day and night every half minute."""
    caplog.set_level(logging.WARNING)
    black = np.zeros((48, 64, 3), np.uint8)
    watch = FrameHealthMonitor("the camera", None)
    for second in range(600):
        noise = np.random.default_rng(second).normal(60, 20, (48, 64, 3)).clip(0, 255).astype(np.uint8)
        watch.look(noise if second % 12 == 11 else black, float(second))
    assert [record.message for record in caplog.records] == [
        "the camera delivers frames, but they are black: is the lens covered?"
    ]
    caplog.clear()
    for second in range(600, 2400):
        noise = np.random.default_rng(second).normal(60, 20, (48, 64, 3)).clip(0, 255).astype(np.uint8)
        watch.look(noise if second // 30 % 2 else black, float(second))
    assert 2 <= len(caplog.records) < 12


def test_pictures_are_bad_or_good_again_after_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    remarks: list[tuple[int, str]] = []
    second = 0

    class Notes(Watcher):
        def remark(self, what: str) -> None:
            remarks.append((second, what))

    monitor = FrameHealthMonitor("the camera", Notes())
    rng = np.random.default_rng(0)
    frozen = rng.integers(0, 255, (480, 640, 3), np.uint8)
    black, coloured = np.full_like(frozen, 5), np.full_like(frozen, (30, 60, 200))
    memory = np.zeros_like(frozen)  # a camera may use it again
    for second in range(120):
        part, image = second // 15, rng.integers(0, 255, (480, 640, 3), np.uint8)
        memory[:] = {1: black, 3: coloured, 5: frozen}.get(part, image)
        monitor.look(memory, 500.0 + second)
    one_colour, same = "they are of one colour", "always the same one: is it frozen?"
    found = [(25, "they are black: is the lens covered?"), (40, ""), (55, one_colour), (70, ""), (86, same), (100, "")]
    assert remarks == found
    assert caplog.messages[:2] == [
        "the camera delivers frames, but they are black: is the lens covered?",
        "the camera shows something again",
    ]


def test_a_live_source_tells_of_pictures_without_content(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    remarks: list[str] = []

    class Notes(Watcher):
        def remark(self, what: str) -> None:
            remarks.append(what)

    class Covered(Pictures):
        def read(self) -> Shot | None:
            clock.now += 1
            return super().read() and Shot(np.zeros((48, 64, 3), np.uint8))

    source = LiveSource("the camera", Covered, fps=30, observer=Notes(), timeouts=PATIENT)
    for _ in taken(source):
        if remarks:
            source.stop()
    assert remarks == ["they are black: is the lens covered?"]
    assert "the camera delivers frames, but they are black" in caplog.text


# As much of the library as is needed to list a sensor late; the real one is in tests/hardware.
PICAMERA2 = """
class Picamera2:
    cameras = []
    @classmethod
    def global_camera_info(cls):
        return cls.cameras
    def __init__(self, number):
        self.size = None
    def create_video_configuration(self, main, lores, **_):
        return {"main": main, "lores": lores}
    def configure(self, streams):
        self.streams = streams
    def start(self):
        pass
    def close(self):
        pass
    def stream_configuration(self, stream):
        return {"stride": self.streams[stream]["size"][0]}
    def captured_request(self, wait):
        return Request(self.streams)

class Request:
    def __init__(self, streams):
        self.streams = streams
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def make_buffer(self, stream):
        import numpy as np
        width, height = self.streams[stream]["size"]
        return np.random.default_rng().integers(0, 255, width * height * 3 // 2, dtype=np.uint8)
    def get_metadata(self):
        import time
        time.sleep(0.03)
        return {"SensorTimestamp": 5_250_000_000}
"""


def test_a_ribbon_camera_that_is_listed_late_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if list(Path("/dev").glob("video*")):
        pytest.skip("this machine has a camera")
    (tmp_path / "picamera2.py").write_text(PICAMERA2)
    (tmp_path / "libcamera.py").write_text("def Transform(**_): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("picamera2", "libcamera"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    config = RunConfig(camera=CameraConfig(wait=True))
    with open_source(config) as source:
        late = threading.Timer(90, source.stop)
        late.start()
        import_module("picamera2").Picamera2.cameras.append({"Id": "/base/soc/i2c0mux/i2c@1/imx219@10"})
        frame = next(iter(source))
        late.cancel()
    assert frame.small is not None
    assert frame.captured_at == 5.25, "the sensor counts nanoseconds"
    for name in ("picamera2", "libcamera"):
        sys.modules.pop(name, None)


def test_what_the_kernel_names_a_decoder_is_no_camera(tmp_path: Path) -> None:
    names = (
        "bcm2835-codec-decode",
        "unicam-image",
        "bcm2835-isp-capture0",
        "pispbe-output0",
        "USB Camera: x",
        "rpivid",
    )
    for number, name in enumerate((*names, None)):
        (tmp_path / f"video{number + 8}").touch()
        if name:
            (tmp_path / "sys" / f"video{number + 8}").mkdir(parents=True)
            (tmp_path / "sys" / f"video{number + 8}" / "name").write_text(f"{name}\n")
    found = possible_cameras(tmp_path, tmp_path / "sys")
    assert [path.name for path in found] == ["video9", "video12", "video14"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:secret@camera:554/live?token=secret", "rtsp://camera:554/live?…"),
        ("http://camera/live.mjpg?user=me&pwd=secret", "http://camera/live.mjpg?…"),
        ("rtsp://camera/live", "rtsp://camera/live"),
        ("0", "camera 0"),
    ],
)
def test_a_camera_is_named_without_its_secrets(url: str, shown: str) -> None:
    """The description is what goes to the journal, to systemd and to the page."""
    assert CameraSource(url, CameraConfig()).description == shown


def test_frames_carry_the_cameras_own_time() -> None:
    class Stamped(Pictures):
        """Tells when each picture was taken, a while ago."""

        def read(self) -> Shot | None:
            shot = super().read()
            return shot and Shot(shot.image, taken_at=time.monotonic() - 100)

    before = time.monotonic()
    for stamped in (True, False):
        source = camera(Stamped if stamped else Pictures)
        with source:
            frame = next(iter(source))
            source.stop()
        assert (frame.captured_at < before - 50) == stamped
        assert frame.live
