"""Real files, and a real stream over loopback."""

import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from tests.camera import LoopbackCamera
from tests.conftest import listener, wait_until

from fer_edge.config import CameraConfig, RunConfig
from fer_edge.errors import SourceError
from fer_edge.sources import open_source
from fer_edge.sources.camera import CameraSource
from fer_edge.sources.demo import DemoSource, scene_at


def opened(source: object) -> list[int]:
    with open_source(RunConfig(source=str(source))) as frames:
        return [frame.index for frame in frames]


def test_a_video_hands_over_every_frame_in_media_time(demo_video: Path) -> None:
    with open_source(RunConfig(source=str(demo_video))) as source:
        assert source.frames == 90
        times = [frame.captured_at for frame in source]
    np.testing.assert_allclose(times, np.arange(90) / 30, atol=1e-3)


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42"])
def test_an_unreadable_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"bad.mp4: is not a readable video"):
        opened(path)


def test_a_truncated_video_gives_what_is_there_and_then_says_so(demo_video: Path, tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg, which moves the index to the front: sudo apt install ffmpeg")
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", demo_video, "-c", "copy", "-movflags", "+faststart", whole], check=True
    )
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 6 // 10])
    count = 0
    with (
        open_source(RunConfig(source=str(cut))) as source,
        pytest.raises(SourceError, match=r"cut.mp4: ended after"),
    ):
        for _ in source:
            count += 1
    assert 20 < count < 80


def test_a_video_that_is_removed_while_it_is_read_is_read_to_its_end(demo_video: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copy(demo_video, tmp_path / "clip.mp4"))
    with open_source(RunConfig(source=str(clip))) as source:
        clip.unlink()
        assert len(list(source)) == 90


def test_stray_bytes_after_a_whole_video_are_no_harm(demo_video: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(demo_video.read_bytes() + b"\xff" * 100)
    assert len(opened(clip)) == 90


def test_a_trimmed_video_is_whole(demo_video: Path, tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg, which trims: sudo apt install ffmpeg")
    trimmed = tmp_path / "12:30.mp4"
    command = ["ffmpeg", "-v", "error", "-ss", "1.3", "-i", str(demo_video), "-t", "1", "-c", "copy", f"file:{trimmed}"]
    subprocess.run(command, check=True)
    assert len(opened(trimmed)) >= 25


def test_a_folder_gives_its_pictures_in_order_and_skips_bad_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, level in (("b.png", 2), ("a.jpg", 1)):
        cv2.imwrite(str(tmp_path / name), np.full((60, 80, 3), level, np.uint8))
    (tmp_path / "c.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("not asked for")
    with open_source(RunConfig(source=str(tmp_path))) as source:
        assert [frame.name for frame in source] == ["a.jpg", "b.png"]
    assert "c.png: is not a readable image: skipped" in caplog.text


def test_pictures_are_stills_far_apart_and_other_files_are_named_or_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((60, 80, 3), np.uint8))
    for name in ("n1", "n2", "n3", "n4", "n5", "n6", "n7", ".hidden"):
        (tmp_path / name).write_text("no picture")
    with open_source(RunConfig(source=str(tmp_path))) as source:
        assert source.frames == 2
        assert [(frame.captured_at, frame.still, frame.live) for frame in source] == [
            (0.0, True, False),
            (10.0, True, False),
        ]
    assert caplog.text.rstrip().endswith("since they are no images: 'n1', 'n2', 'n3', 'n4', 'n5' and 2 more")


def test_a_folder_without_a_readable_picture_is_an_error_and_counts_them(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no image")
    with (
        open_source(RunConfig(source=str(tmp_path))) as source,
        pytest.raises(SourceError, match=r"b\.png: is not a readable image.*, nor is any other readable"),
    ):
        list(source)
    assert source.skipped == 2


def test_an_empty_folder_and_a_bad_picture_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no images"):
        opened(tmp_path)
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"x.png: is not a readable image"):
        opened(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("97", "camera 97 cannot be opened"),
        ("/dev/video98", "cannot be opened"),
        ("nosuch.mp4", "no file, folder, camera"),
        ("http://user:secret@127.0.0.1:9/x", "cannot be opened"),
    ],
)
def test_a_missing_source_is_one_clear_line(name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        opened(name)
    assert "secret" not in str(caught.value)


def test_the_demo_shows_what_it_says_it_shows() -> None:
    with DemoSource(paced=False) as demo:
        first = next(iter(demo))
        assert first.image.shape == (480, 640, 3)
        assert np.array_equal(first.image, demo.render(scene_at(0)))
    labels = {scene_at(seconds).label for seconds in range(0, 21, 3)}
    assert len(labels) == 7


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_camera_gives_upright_frames(turn: Literal[0, 90, 180, 270]) -> None:
    """The flips come before the turn, as picamera2 has them."""
    camera = LoopbackCamera()
    pictures = []
    for config in (CameraConfig(), CameraConfig(rotation=turn, vflip=turn > 90, hflip=turn == 270)):
        with CameraSource(camera.url("still"), config) as source:
            pictures.append(next(iter(source)).image)
    camera.unplug()
    plain, seen = pictures
    flipped = plain[::-1] if turn == 180 else plain[::-1, ::-1] if turn == 270 else plain
    assert np.array_equal(seen, np.rot90(flipped, -turn // 90))


class StreamServer:
    """ffmpeg serving the demo video over loopback, in real time and for ever."""

    def __init__(self, video: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}/cam.mjpg"
        self._command = ["ffmpeg", "-v", "quiet", "-re", "-stream_loop", "-1", "-i", str(video)]
        self._command += ["-q:v", "5", "-f", "mpjpeg", "-listen", "1", self.url]
        self.start()
        wait_until(lambda: listener(self._port) is not None)  # to connect would take its only place

    def start(self) -> None:
        """Start it, to listen until somebody has connected: who waits for it may do that at once."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(demo_video: Path) -> Iterator[StreamServer]:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg, which serves the stream: sudo apt install ffmpeg")
    server = StreamServer(demo_video)
    yield server
    server.kill()


def test_a_slow_reader_of_a_stream_gets_the_newest_frame(server: StreamServer) -> None:
    """Not the one that was the newest when it read the last: that would be as old as the reader is slow."""
    indexes, ages, read_at = [], [], []
    with CameraSource(server.url, CameraConfig()) as source:
        for frame in source:
            read_at.append(time.monotonic())
            ages.append(read_at[-1] - frame.captured_at)
            indexes.append(frame.index)
            time.sleep(0.25)
            if len(indexes) == 12:
                break
    gaps = np.diff(indexes)
    assert gaps.min() >= 1
    assert np.median(gaps) >= 3, "late frames were not dropped"
    assert np.median(ages) < np.median(np.diff(read_at)) / 2, "an old frame was handed over"


def test_a_stream_that_dies_is_opened_again_when_it_returns(
    server: StreamServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with CameraSource(server.url, CameraConfig()) as source:
        frames = iter(source)
        next(frames)
        server.kill()
        server.start()
        deadline = time.monotonic() + 30
        while "is back" not in caplog.text and time.monotonic() < deadline:
            next(frames)
        assert next(frames).image.shape == (480, 640, 3)
    assert caplog.text.count("is lost") == 1
    assert caplog.text.count("is back") == 1


@pytest.mark.parametrize("bad", [b"", b"no picture at all" * 100])
def test_a_bad_picture_of_a_stream_is_skipped_and_is_no_loss(bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Every tenth part of an MJPEG stream is empty, or something else."""
    good = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
            self.end_headers()
            with suppress(OSError):
                for number in count(1):
                    body = bad if number % 10 == 0 else good
                    head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                    self.wfile.write(head.encode() + body + b"\r\n")
                    time.sleep(0.02)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Stream) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/cam.mjpg"
        with open_source(RunConfig(source=url)) as source, caplog.at_level("WARNING"):
            *_, last = islice(source, 60)
        server.shutdown()
    assert last.index / 10 - 1 <= source.skipped <= last.index / 9 + 2, "one in ten"
    assert not [line for line in caplog.messages if "is back" in line or "waiting" in line]
