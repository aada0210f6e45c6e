"""How a recording keeps time: read back from the video that it wrote."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run
from tests.edge.test_overlay import likeness
from tests.edge.test_overlay import result as annotated

from fer_edge.config import VideoCodec
from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.sinks.recording import Recording
from fer_edge.types import FaceBox, Frame, FrameResult

FPS = 10.0
NO_AV = "no PyAV: pip install '.[recording]'"


def result(at: float, grey: int, *, live: bool) -> FrameResult:
    image = np.full((64, 96, 3), grey, np.uint8)
    return FrameResult(Frame(image, at, live=live), (), {})


def read_levels(path: Path) -> list[float]:
    capture, levels = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        levels.append(float(read[1].mean()))
    return levels


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_camera_that_was_away_leaves_two_seconds_and_the_rest_keeps_its_time(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    before, after = [index / FPS for index in range(10)], [1000 + index / FPS for index in range(10)]
    with Recording(out, FPS, codec="mpeg4") as recording:
        for at in before:
            recording.emit(result(at, 60, live=True))
        for at in after:
            recording.emit(result(at, 180, live=True))
    levels = read_levels(out)
    assert len(levels) == 10 + 19 + 10, "two seconds of the last frame less the one that follows, and no more"
    assert levels == pytest.approx([60] * 29 + [180] * 10, abs=6)


def test_the_last_frame_of_a_file_is_shown_as_long_as_the_others(tmp_path: Path) -> None:
    with Recording(tmp_path / "out.mkv", FPS, codec="mpeg4") as recording:
        for index in range(3):
            recording.emit(result(index / FPS, 60 * index + 60, live=False))
    levels = read_levels(tmp_path / "out.mkv")
    each = len(levels) // 3
    assert each > 1, "a file is written at a multiple of its rate"
    assert levels == pytest.approx([level for level in (60, 120, 180) for _ in range(each)], abs=8)


def test_slow_frames_are_repeated_and_quick_ones_left_out(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with Recording(out, FPS, codec="mpeg4") as recording:
        for index in range(5):
            recording.emit(result(index / 5, 40 * index + 40, live=True))  # half the rate
        for index in range(1, 11):
            recording.emit(result(0.8 + index / 50, 240, live=True))  # five times the rate
    levels = read_levels(out)
    assert levels[:9] == pytest.approx([40, 40, 80, 80, 120, 120, 160, 160, 200], abs=8)
    assert levels[9:] == pytest.approx([240] * 2, abs=8)


def read_times(path: Path) -> list[float]:
    """Seconds of each frame; the last number is the end of the video."""
    av = pytest.importorskip("av", reason=NO_AV)
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
        return [*times, container.duration / 1e6]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm", "OUT.MP4"])
def test_every_frame_is_kept_once_at_its_own_time(tmp_path: Path, name: str) -> None:
    pytest.importorskip("av", reason=NO_AV)
    times = [0.0, 0.1, 0.2, 5.2, 5.23, 45.2]
    with Recording(tmp_path / name, FPS) as recording:
        for number, at in enumerate(times):
            recording.emit(result(100 + at, 40 * number + 20, live=False))
    assert read_times(tmp_path / name) == pytest.approx([*times, 45.2 + 1 / FPS], abs=0.002)
    assert read_levels(tmp_path / name) == pytest.approx([40 * number + 20 for number in range(6)], abs=8)


@pytest.mark.parametrize("name", ["out.mkv", "out.webm"])
def test_what_was_recorded_outlives_a_kill_and_can_be_entered_every_two_seconds(tmp_path: Path, name: str) -> None:
    """Read while it is written; players begin at key frames."""
    av = pytest.importorskip("av", reason=NO_AV)
    with Recording(tmp_path / name, FPS) as recording:
        for number in range(60):
            recording.emit(result(number / FPS, 2 * number + 20, live=True))
        assert len(read_levels(tmp_path / name)) >= 40, "six seconds less the latest two"
    with av.open(str(tmp_path / name)) as container:
        keys = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.is_keyframe]
    assert keys == pytest.approx([0, 2, 4], abs=0.01)


def test_the_score_of_a_face_is_drawn_only_when_asked_for(tmp_path: Path) -> None:
    face = annotated(FaceBox(200, 150, 150, 150, 0.9))
    for name, options in (("without.mkv", {}), ("with.mkv", {"score": True})):
        with Recording(tmp_path / name, FPS, codec="mpeg4", **options) as recording:
            recording.emit(face)
        image = np.asarray(cv2.VideoCapture(str(tmp_path / name)).read()[1], np.uint8)
        assert (likeness(image, "face 0.90", 16) > 0.6) == bool(options)


def test_two_frames_of_one_time_are_both_kept(tmp_path: Path) -> None:
    pytest.importorskip("av", reason=NO_AV)
    with Recording(tmp_path / "out.mkv", FPS) as recording:
        for number, at in enumerate((0.0, 0.1, 0.1, 0.2)):
            recording.emit(result(at, 40 * number + 20, live=False))
    assert read_levels(tmp_path / "out.mkv") == pytest.approx([20, 60, 100, 140], abs=8)


def test_a_camera_that_was_away_leaves_two_seconds(tmp_path: Path) -> None:
    pytest.importorskip("av", reason=NO_AV)
    with Recording(tmp_path / "out.mkv", FPS) as recording:
        for number, at in enumerate((7.0, 7.1, 1000.0, 1000.1)):
            recording.emit(result(at, 40 * number + 20, live=True))
    assert read_times(tmp_path / "out.mkv")[:-1] == pytest.approx([0, 0.1, 2.1, 2.2], abs=0.002)
    assert read_levels(tmp_path / "out.mkv") == pytest.approx([20, 60, 100, 140], abs=8)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", None), ("a.mkv", None), ("a.webm", None), ("a.mp4", "vp9")])
def test_a_browser_plays_it(tmp_path: Path, name: str, codec: VideoCodec | None) -> None:
    pytest.importorskip("av", reason=NO_AV)
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no browser: sudo apt install chromium")
    from playwright.sync_api import sync_playwright

    with Recording(tmp_path / name, FPS, codec=codec) as recording:
        for number in range(20):
            recording.emit(result(number / FPS, 10 * number, live=False))
    (tmp_path / "page.html").write_text(f'<video src="{name}" muted preload="auto"></video>')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("v = document.querySelector('video'), v.error || v.readyState >= 2")
        video = page.eval_on_selector("video", "v => [v.error?.message, v.duration, v.videoWidth, v.videoHeight]")
        page.eval_on_selector("video", "v => v.play()")
        page.wait_for_function("document.querySelector('video').ended")
        browser.close()
    assert video == [None, pytest.approx(2, abs=0.01), 96, 64]


def test_without_pyav_it_says_what_browsers_do_not_play(demo_video: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['av'] = None; from fer_edge.__main__ import run; run()"

    def record(name: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", program, "run", str(demo_video), "--max-frames", "20", "--record", name]
        return subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)

    mp4 = record("out.mp4")
    assert mp4.returncode == 0, mp4.stderr
    assert "out.mp4: MPEG-4 Part 2, which browsers do not play. For H.264: pip install '.[recording]'" in mp4.stderr
    webm = record("out.webm")
    assert webm.returncode == 0, webm.stderr
    assert "browsers" not in webm.stderr
    fourcc = int(cv2.VideoCapture(str(tmp_path / "out.webm")).get(cv2.CAP_PROP_FOURCC))
    assert fourcc.to_bytes(4, "little") == b"VP80"
    (tmp_path / "h264.toml").write_text('recording.codec = "h264"')
    words = [sys.executable, "-c", program, "run", "demo", "--record", "x.mp4", "--config", "h264.toml"]
    refused = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "pip install '.[recording]'" in refused.stderr


@pytest.mark.parametrize(
    ("name", "codec", "fourcc", "is_warned"),
    [
        ("out.mp4", None, b"FMP4", True),
        ("out.MKV", None, b"FMP4", True),
        ("out.mkv", "mpeg4", b"FMP4", False),
        ("out.webm", None, b"VP80", False),
    ],
)
def test_what_is_written_without_pyav_and_when_that_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    codec: VideoCodec | None,
    fourcc: bytes,
    is_warned: bool,
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with Recording(tmp_path / name, FPS, codec=codec) as recording:
        recording.emit(result(0, 100, live=False))
    written = int(cv2.VideoCapture(str(tmp_path / name)).get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert written == fourcc
    told = (
        f"{tmp_path / name}: MPEG-4 Part 2, which browsers do not play. "
        "For H.264: pip install '.[recording]', or apt install python3-av. Or record to .webm"
    )
    assert caplog.messages == [told] * is_warned


@pytest.mark.parametrize(("name", "codec", "library"), [("a.mp4", "h264", "libx264"), ("a.webm", "vp9", "libvpx-vp9")])
def test_a_codec_that_needs_pyav_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: VideoCodec, library: str
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra) as raised, Recording(tmp_path / name, FPS, codec=codec):
        pass
    assert str(raised.value) == f"PyAV with {library} is not installed. Fix: pip install '.[recording]'"


def test_a_place_that_cannot_be_recorded_to_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    for name, said in (
        ("a.avi", "a recording is written as .mp4, .mkv, .webm"),
        ("folder.mp4", "cannot be written (is a folder)"),
        ("no/a.mkv", "cannot be written (No such file or directory)"),
    ):
        with pytest.raises(ConfigError) as raised, Recording(tmp_path / name, FPS):
            pass
        assert str(raised.value) == f"'{tmp_path}/{name}': {said}"


def test_a_video_that_is_removed_goes_on_in_a_new_file(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with Recording(out, FPS, codec="mpeg4") as recording:
        recording.emit(result(5, 40, live=True))
        out.unlink()
        with pytest.raises(FileNotFoundError, match="the video was removed; a new one is started"):
            recording.emit(result(5.1, 80, live=True))
        for at in (5.2, 5.3):
            recording.emit(result(at, 200, live=True))
    assert read_levels(out) == pytest.approx([200, 200], abs=6)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_ends_before_the_disk_is_full(small_disk: Path, suffix: str) -> None:
    out = small_disk / f"out{suffix}"
    with Recording(out, FPS, codec="mpeg4") as recording:
        for index in range(3):
            recording.emit(result(index / FPS, 100, live=False))
        (small_disk / "other").write_bytes(bytes(1_200_000))
        for index in (3, 4):
            with pytest.raises(OSError, match="No space left on device: the video ends here"):
                recording.emit(result(index / FPS, 100, live=False))
    assert len(read_levels(out)) in range(3, 10)
    assert level(out) == pytest.approx(100, abs=6)


@pytest.mark.parametrize(("name", "also"), [("out.mp4", " and is discarded"), ("out.mkv", "")])
def test_a_video_that_cannot_be_finished_is_an_error(tmp_path: Path, name: str, also: str) -> None:
    """Since it cannot be read back: somebody removed it."""
    with pytest.raises(ConfigError) as raised, Recording(tmp_path / name, FPS, codec="mpeg4") as recording:
        recording.emit(result(0, 100, live=False))
        (part,) = tmp_path.iterdir()
        part.unlink()
    assert str(raised.value) == (
        f"{tmp_path / name}: the video could not be finished{also}: it cannot be read back. Is the disk full?"
    )
    assert not list(tmp_path.iterdir())


def test_a_webm_holds_no_mpeg4(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot hold mpeg4"), Recording(tmp_path / "a.webm", FPS, codec="mpeg4"):
        pass


@pytest.mark.parametrize("codec", ["", "mpeg4"])
def test_names_of_other_alphabets_in_latin1(
    command: Run, latin1: dict[str, str], demo_video: Path, tmp_path: Path, codec: str
) -> None:
    (tmp_path / "config.toml").write_text(f'recording.codec = "{codec}"' if codec else "")
    source, out = tmp_path / "Gesichter ä.mp4", tmp_path / "写真.mp4"
    shutil.copy(os.fsencode(demo_video), os.fsencode(source))
    done = command("fer-edge", "run", source, "--record", out, "--config", tmp_path / "config.toml", env=latin1)
    assert done.returncode == 0, done.stderr
    assert len(read_levels(out)) == 90


def write(path: Path, *greys: int) -> None:
    with Recording(path, FPS, codec="mpeg4") as recording:
        for index, grey in enumerate(greys):
            recording.emit(result(index / FPS, grey, live=False))


def level(path: Path) -> float:
    """That of all its frames."""
    levels = read_levels(path)
    assert max(levels) - min(levels) < 3
    return levels[0]


def test_an_mkv_never_replaces_another_and_an_empty_file_is_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fer_edge")
    out = tmp_path / "out.mkv"
    out.touch()
    for grey in (40, 120, 200):
        write(out, grey, grey)
    found = {path.name: level(path) for path in tmp_path.iterdir()}
    assert found == pytest.approx({"out.mkv": 40, "out-2.mkv": 120, "out-3.mkv": 200}, abs=6)
    assert caplog.messages == [
        f"{out} exists already: recording to {out.with_stem(f'out-{number}')}" for number in (2, 3)
    ]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm"])
def test_without_a_frame_no_file_is_left(tmp_path: Path, name: str) -> None:
    with Recording(tmp_path / name, FPS):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_an_mp4_replaces_the_one_before_once_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    write(out, 40, 40)
    with Recording(out, FPS, codec="mpeg4") as recording:
        recording.emit(result(0, 200, live=False))
        assert level(out) == pytest.approx(40, abs=6)
    assert level(out) == pytest.approx(200, abs=6)
    with Recording(out, FPS, codec="mpeg4"):
        pass
    assert level(out) == pytest.approx(200, abs=6), "without a frame nothing is replaced"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_only_what_a_dead_run_left_of_the_same_video_is_removed(tmp_path: Path) -> None:
    dead = 2**31 - 1  # more than a process can have (proc(5), pid_max)
    theirs = [f".out.{os.getppid()}.part.mp4", f".other.{dead}.part.mp4", ".out.x.part.mp4", f"out.{dead}.part.mp4"]
    for name in (f".out.{dead}.part.mp4", *theirs):
        (tmp_path / name).write_bytes(b"unfinished")
    write(tmp_path / "out.mp4", 40)
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", *theirs}


@pytest.mark.parametrize("size", [(63, 95), (64, 95), (63, 96)])
def test_odd_sides_are_made_even_and_frames_of_another_size_fit_in(tmp_path: Path, size: tuple[int, int]) -> None:
    out = tmp_path / "out.mkv"
    with Recording(out, FPS, codec="mpeg4") as recording:
        for index, (height, width) in enumerate((size, size, (120, 40))):
            recording.emit(FrameResult(Frame(np.full((height, width, 3), 100, np.uint8), index / FPS), (), {}))
    capture = cv2.VideoCapture(str(out))
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (96, 64)
    assert level(out) == pytest.approx(100, abs=6)


@pytest.mark.parametrize(("fps", "written"), [(0.0, 30), (12.5, 12.5), (1e6, 30)])
def test_a_source_without_a_sensible_rate_is_recorded_at_30(tmp_path: Path, fps: float, written: float) -> None:
    out = tmp_path / "out.mkv"
    with Recording(out, fps, codec="mpeg4") as recording:
        for index in range(4):
            recording.emit(result(index / written, 100, live=True))
    assert cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FPS) == pytest.approx(written, rel=0.01)
