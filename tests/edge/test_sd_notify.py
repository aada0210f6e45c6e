"""The messages to systemd, received by a socket. The real systemd is in tests/systemd."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.camera import LoopbackCamera
from tests.clock import Clock
from tests.conftest import Run, fill, is_still, wait_until
from tests.notify import Notifications

from fer_edge.device.sd_notify import Notifier
from fer_edge.sinks import Sink
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))


@pytest.fixture
def systemd(tmp_path: Path) -> Notifications:
    return Notifications(tmp_path)


def start(systemd: Notifications, *arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address}
    return subprocess.Popen(
        [FER_EDGE, "run", *arguments], env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    return said


def test_it_is_ready_with_the_first_processed_frame_and_says_when_it_stops(systemd: Notifications) -> None:
    process = start(systemd, "--source", "demo")
    wait_until(lambda: systemd.hears("FPS, 1 face, the built-in demo"))
    assert systemd.heard[0].startswith("READY=1\nWATCHDOG=1\nSTATUS=")
    assert "FPS" in systemd.heard[0]
    said = end(process)
    assert systemd.hears("STOPPING=1")
    assert len(said.splitlines()) == 1, "the journal gets no line a change"


def test_a_missing_camera_is_waited_for_and_reported(
    systemd: Notifications, camera: LoopbackCamera, tmp_path: Path
) -> None:
    camera.unplug()
    config = tmp_path / "config.toml"
    config.write_text(f'source = "{camera.url()}"\n[camera]\nwait = true\n')
    process = start(systemd, "--config", str(config))
    wait_until(lambda: systemd.hears("READY=1\nWATCHDOG=1\nSTATUS=waiting for http://"))
    camera.plug()
    wait_until(lambda: systemd.hears("FPS, 1 face"))
    said = end(process).splitlines()
    assert ["is not there, waiting for it" in said[0], "is back" in said[1]] == [True, True]


def test_no_camera_at_all_is_waited_for_and_never_the_demo(systemd: Notifications, tmp_path: Path) -> None:
    if list(Path("/dev").glob("video*")):
        pytest.skip("this machine has a camera")
    config = tmp_path / "config.toml"
    config.write_text("[camera]\nwait = true\n")
    process = start(systemd, "--config", str(config))
    wait_until(lambda: systemd.hears("STATUS=waiting for the camera"))
    assert "the camera is not there, waiting for it" in end(process)
    assert not systemd.hears("FPS")


def test_a_failing_output_is_reported_until_it_works_again(systemd: Notifications, tmp_path: Path) -> None:
    folder, config = tmp_path / "logs", tmp_path / "config.toml"
    folder.mkdir()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]  # and it does not listen
        refused = f"cannot be reached: refused, nothing listens on port {port}"
        config.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n')
        process = start(systemd, "--source", "demo", "--config", str(config), "--json", str(folder / "out.jsonl"))
        wait_until(lambda: systemd.hears(f"the built-in demo; MQTT broker 127.0.0.1: {refused}\n"))
        shutil.rmtree(folder)
        wait_until(lambda: systemd.hears(f"{refused}; {folder}/out.jsonl: No such file or directory\n"))
        folder.mkdir()
        systemd.heard.clear()
        wait_until(lambda: systemd.hears(f"the built-in demo; MQTT broker 127.0.0.1: {refused}\n"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 2, "lines were lost"


def test_without_processed_frames_the_watchdog_starves(systemd: Notifications, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = start(systemd, "--source", "demo", "--json", "-", stdout=writing)
    wait_until(lambda: systemd.hears("READY=1"))
    fill(writing)  # nobody reads, so that no further frame is processed
    os.close(writing)
    wait_until(lambda: is_still(process.pid))
    count = systemd.count("WATCHDOG=1")
    (tmp_path / "other").mkdir()
    other = Notifications(tmp_path / "other")
    with Notifier(other.address) as working:  # as long as one that works feeds its own four times
        wait_until(lambda: bool(working.emit(seen(0))) or other.count("WATCHDOG=1") >= 4)  # type: ignore[func-returns-value]
    assert systemd.count("WATCHDOG=1") == count
    assert process.poll() is None, "it waits, it has not ended"
    process.kill()
    process.communicate()
    os.close(reading)


def test_log_lines_carry_their_priority_where_the_journal_reads_them(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with errors.open("w") as stderr:
        status = os.fstat(stderr.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        for source in ("demo", "nosuch.mp4"):
            command = [FER_EDGE, "run", "--source", source, "--max-frames", "2", "--json", "/dev/full"]
            subprocess.run(command, env=environment, stderr=stderr, check=False)
    marks = [line[:3] for line in errors.read_text().splitlines()]
    assert marks == ["<3>", "<6>", "<3>", "<3>"]


def test_a_lost_message_to_systemd_is_sent_with_the_next_frame(tmp_path: Path) -> None:
    """READY=1 is not left for a second later, in which systemd may have lost its patience."""
    nobody = FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), (), {})
    with Notifier(str(tmp_path / "notify")) as notifier:
        notifier.emit(nobody)  # there is no socket yet
        systemd = Notifications(tmp_path)
        notifier.emit(nobody)
        assert systemd.hears("READY=1")
        notifier.emit(nobody)
        systemd.hears("")
        assert len(systemd.heard) == 1, "once it was heard, it is said once per second"


def test_the_first_start_says_once_where_it_must_not_be_used(command: Run, tmp_path: Path) -> None:
    def start() -> str:
        environment = os.environ | {"STATE_DIRECTORY": f"{tmp_path}:{tmp_path}/trials"}  # as the unit has both
        done = command("fer-edge", "run", "demo", "--max-frames", 2, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert start().count("must not be used to infer emotions at work or in education") == 1
    assert "must not be used" not in start()


class Drifted(Sink):
    """The usage record, when the pictures have changed."""

    note = "drift: faces are darker"


def test_drift_is_part_of_the_status(tmp_path: Path) -> None:
    listener = Notifications(tmp_path)
    with Notifier(listener.address) as notifier:
        notifier.source, notifier.outputs = "camera 0", [Drifted()]
        notifier.emit(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), (), {}))
    assert listener.hears("camera 0; drift: faces are darker")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fer_edge.device.sd_notify.time", clock)
    return clock


def seen(faces: int) -> FrameResult:
    """A frame in which so many are in view, and one who is hidden at the moment."""
    read = Prediction(np.ones(1, np.float32), "happy", 1.0)
    box = FaceBox(0, 0, 9, 9)
    tracks = [Track(number, box, 1.0, 0.0, visible=number < faces) for number in range(faces + 1)]
    tracked = tuple(TrackedFace(track, read, read) for track in tracks)
    return FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), tracked, {})


def test_once_per_second_it_says_what_the_frames_since_showed(systemd: Notifications, clock: Clock) -> None:
    with Notifier(systemd.address) as notifier:
        notifier.source = "camera\n 0"
        for seconds, faces in ((0.5, 0), (0.25, 1), (0.25, 1), (0.25, 1), (0.25, 1)):
            clock.now += seconds
            notifier.emit(seen(faces))
        notifier.remark("too dark")
        clock.now += 2
        notifier.emit(seen(2))
        notifier.remark("")
        clock.now += 1
        notifier.emit(seen(2))
    systemd.count("")
    told = ["2.0 FPS, 0 faces, camera 0", "4.0 FPS, 1 face, camera 0", "0.5 FPS, 2 faces, camera 0; too dark"]
    told += ["1.0 FPS, 2 faces, camera 0"]
    assert systemd.heard == [*(f"READY=1\nWATCHDOG=1\nSTATUS={status}\n" for status in told), "STOPPING=1\n"]


def test_waiting_for_a_camera_feeds_the_watchdog_and_counts_no_frames(systemd: Notifications, clock: Clock) -> None:
    with Notifier(systemd.address) as notifier:
        notifier.waiting("the camera")
        clock.now += 0.5
        notifier.waiting("the camera")
        notifier.emit(seen(0))
        clock.now += 0.5
        notifier.waiting("the camera")
        clock.now += 2
        notifier.emit(seen(0))
    systemd.count("")
    waiting = "READY=1\nWATCHDOG=1\nSTATUS=waiting for the camera\n"
    assert systemd.heard[:-1] == [waiting, waiting, "READY=1\nWATCHDOG=1\nSTATUS=0.5 FPS, 0 faces,\n"]


def test_a_systemd_that_does_not_read_stops_nothing(systemd: Notifications, clock: Clock) -> None:
    with Notifier(systemd.address) as notifier:

        def tell_much() -> None:
            for _ in range(2000):
                clock.now += 2
                notifier.emit(seen(0))

        thread = threading.Thread(target=tell_much, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert systemd.count("0 faces") < 2000, "what did not fit is lost"
        clock.now += 2
        notifier.emit(seen(1))
        assert systemd.hears("1 face")


def test_each_hour_the_journal_gets_one_line(
    systemd: Notifications, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with Notifier(systemd.address) as notifier, caplog.at_level("INFO"):
        notifier.source = "camera 0"
        for seconds in (1800, 1800, 1800, 1800, 1800, 1800):
            clock.now += seconds
            notifier.emit(seen(1))
        clock.now += 3_600_000  # without a camera
        notifier.emit(seen(2))
    assert caplog.messages == [
        *["3 frames in 1.5 hours, now 1 face, camera 0"] * 2,
        "1 frames in 1000.0 hours, now 2 faces, camera 0",
    ]


def test_a_status_names_the_outputs_that_fail(systemd: Notifications) -> None:
    outputs = [Sink(), Drifted(), Sink()]
    outputs[2].description, outputs[2].trouble = "the disk", "is full"
    with Notifier(systemd.address) as notifier:
        notifier.source, notifier.outputs = "camera 0", outputs
        notifier.emit(seen(0))
    assert systemd.hears("0 faces, camera 0; the disk: is full; drift: faces are darker\n")


def test_its_socket_is_closed_at_the_end(systemd: Notifications) -> None:
    with Notifier(systemd.address) as notifier:
        assert notifier._socket.fileno() >= 0
    assert notifier._socket.fileno() == -1


def test_a_name_in_the_abstract_namespace_is_written_with_an_at(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"fer-edge-test-{tmp_path.name}-{os.getpid()}"
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        with Notifier(f"@{name}"):
            pass
        assert listener.recv(99) == b"STOPPING=1"
