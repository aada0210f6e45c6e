"""Faults that really happen, produced with real processes, cameras and disks. More are in tests/systemd."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from tests.camera import LoopbackCamera
from tests.conftest import Run, is_still, wait_until

from fer_edge.sources.demo import DemoSource, scene_at

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))


class Recognition:
    """`fer-edge run` in the background, its messages in a file."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._errors = folder / "errors"
        with self._errors.open("w") as stderr:
            self.process = subprocess.Popen(
                [FER_EDGE, "run", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=stderr
            )

    def said(self) -> str:
        return self._errors.read_text()

    def wait_for(self, text: str, seconds: float = 40) -> None:
        wait_until(lambda: text in self.said(), seconds)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_a_camera_that_freezes_is_opened_again(camera: LoopbackCamera, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run = Recognition(tmp_path, "--source", camera.url(), "--json", out)
    wait_until(lambda: lines(out) > 5)
    camera.freeze()
    run.wait_for("is lost, waiting for it", 20)
    camera.thaw()
    run.wait_for("is back")
    before = lines(out)
    wait_until(lambda: lines(out) > before + 5)
    assert run.end() == 0
    assert run.said().count("is lost") == 1


def test_a_read_that_hangs_is_abandoned(demo_video: Path, tmp_path: Path) -> None:
    """A pipe, read as a stream, whose writer stops: that hangs in the operating system, where no timeout reaches."""
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg, which writes into the pipe: sudo apt install ffmpeg")
    pipe, out = tmp_path / "pipe", tmp_path / "out.jsonl"
    os.mkfifo(pipe)
    command = ["ffmpeg", "-v", "quiet", "-re", "-stream_loop", "-1", "-i", str(demo_video)]
    command += ["-f", "mpjpeg", "-y", str(pipe)]
    writer = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    run = Recognition(tmp_path, "--source", f"cache:file://{pipe}", "--json", out)
    wait_until(lambda: lines(out) > 5)
    writer.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    run.wait_for("hangs: opening it again")
    assert time.monotonic() - stopped_at < 20
    writer.kill()
    writer.wait()
    writer = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    run.wait_for("is back")
    before = lines(out)
    wait_until(lambda: lines(out) > before + 5)
    writer.send_signal(signal.SIGSTOP)
    wait_until(lambda: is_still(run.process.pid))
    assert run.end() == 0, "a reader that hangs keeps nobody from ending"
    writer.kill()
    writer.wait()


@pytest.mark.slow
def test_black_and_frozen_pictures_are_reported(camera: LoopbackCamera, tmp_path: Path) -> None:
    folders = [tmp_path / "black", tmp_path / "still"]
    for folder in folders:
        folder.mkdir()
    black, still = (Recognition(folder, "--source", camera.url(folder.name)) for folder in folders)
    black.wait_for("delivers frames, but they are black: is the lens covered?")
    still.wait_for("delivers frames, but always the same one: is it frozen?")
    assert [black.end(), still.end()] == [0, 0]
    assert black.said().count("delivers frames") == 1


def test_frames_of_changing_size_are_all_used(command: Run, camera: LoopbackCamera, tmp_path: Path) -> None:
    out, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    done = command("fer-edge", "run", "--source", camera.url("sizes"), "--max-frames", 45, "--json", out)
    assert done.returncode == 0, done.stderr
    assert lines(out) == 45
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with DemoSource() as demo:
        large = demo.render(scene_at(0))
    cv2.imwrite(str(pictures / "1.png"), large)
    cv2.imwrite(str(pictures / "2.png"), cv2.resize(large, None, fx=0.5, fy=0.5))
    cv2.imwrite(str(pictures / "3.png"), cv2.resize(large, None, fx=1.5, fy=1.5))
    done = command("fer-edge", "run", "--source", pictures, "--json", out, "--record", video)
    assert done.returncode == 0, done.stderr
    sides = [json.loads(line)["faces"][0]["box"][2] for line in out.read_text().splitlines()]
    assert sides[1] < sides[0] < sides[2]


def test_a_camera_that_another_program_uses_is_refused_in_one_line_or_waited_for(command: Run, tmp_path: Path) -> None:
    camera = LoopbackCamera("one")
    out = tmp_path / "out.jsonl"
    first = Recognition(tmp_path, "--source", camera.url(), "--json", out)
    wait_until(lambda: lines(out) > 5)
    second = command("fer-edge", "run", "--source", camera.url(), "--json", tmp_path / "second.jsonl")
    assert second.returncode == 3
    assert "cannot be opened: it answers 503 Service Unavailable" in second.stderr  # its one viewer is the first run
    assert not (tmp_path / "second.jsonl").exists()
    before = lines(out)
    wait_until(lambda: lines(out) > before)
    config = tmp_path / "config.toml"
    config.write_text("[camera]\nwait = true\n")
    (tmp_path / "third").mkdir()
    third = Recognition(tmp_path / "third", "--source", camera.url(), "--config", config)
    third.wait_for("is not there, waiting for it")
    assert first.end() == 0
    third.wait_for("is back")
    assert third.end() == 0
    camera.unplug()


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_video_on_a_full_disk_ends_there_and_is_kept(small_disk: Path, tmp_path: Path, name: str) -> None:
    (small_disk / "filler").write_bytes(bytes(700_000))
    run = Recognition(tmp_path, "--source", "demo", "--record", small_disk / name)
    run.wait_for("No space left on device: the video ends here", 60)
    assert run.end() == 2
    assert playable(small_disk / name) > 20
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", name]


def test_a_killed_recording_plays_and_is_not_replaced(tmp_path: Path) -> None:
    video, second = tmp_path / "out.mkv", tmp_path / "out-2.mkv"
    run = Recognition(tmp_path, "--source", "demo", "--record", video)
    wait_until(lambda: video.is_file() and video.stat().st_size > 500_000)
    run.process.kill()
    run.process.wait()
    written = video.read_bytes()
    assert playable(video) > 60, "500 kB are some three seconds"
    run = Recognition(tmp_path, "--source", "demo", "--record", video)
    wait_until(lambda: second.is_file() and second.stat().st_size > 0)
    assert run.end() == 0
    assert playable(second) > 0
    assert video.read_bytes() == written
    assert sorted(path.name for path in tmp_path.glob("*.mkv")) == ["out-2.mkv", "out.mkv"]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_removed_recording_starts_again_when_its_folder_is_back(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    run = Recognition(tmp_path, "--source", "demo", "--record", folder / name)
    wait_until(lambda: any(file.stat().st_size for file in folder.iterdir()))
    shutil.rmtree(folder)
    run.wait_for("fails: the video was removed", 60)
    folder.mkdir()
    run.wait_for("works again", 60)
    wait_until(lambda: any(file.stat().st_size for file in folder.iterdir()))
    assert run.end() == 2, "frames were lost: the exit code says so"
    assert [path.name for path in folder.iterdir()] == [name]
    assert playable(folder / name) > 0


def test_what_killed_runs_left_of_a_video_is_removed_and_nothing_else(command: Run, tmp_path: Path) -> None:
    video = tmp_path / "out.mp4"
    run = Recognition(tmp_path, "--source", "demo", "--record", video)
    wait_until(lambda: bool(list(tmp_path.glob(".out.*.part.mp4"))))
    run.process.kill()
    run.process.wait()
    others = [tmp_path / name for name in (f".out.{os.getpid()}.part.mp4", ".out.mine.part.mp4", ".other.1.part.mp4")]
    for other in others:
        other.touch()
    assert command("fer-edge", "run", "--source", "demo", "--max-frames", 2, "--record", video).returncode == 0
    assert sorted(tmp_path.glob("*.mp4")) == sorted([video, *others])


def playable(video: Path) -> int:
    """How many of its frames can be read."""
    capture, frames = cv2.VideoCapture(str(video)), 0
    while capture.read()[0]:
        frames += 1
    return frames


def test_a_model_that_is_replaced_under_a_running_service_is_refused_at_the_next_start(
    command: Run, bundle_dir: Path, tmp_path: Path
) -> None:
    model, out, config = tmp_path / "model", tmp_path / "out.jsonl", tmp_path / "config.toml"
    shutil.copytree(bundle_dir, model)
    config.write_text(f'source = "demo"\nmodel = "{model}"\njson = "{out}"\n')
    run = Recognition(tmp_path, "--config", config)
    wait_until(lambda: lines(out) > 5)
    older = json.dumps(json.loads((model / "model.json").read_text()) | {"schema_version": 0}).encode()
    for name, content, telling in (
        ("model.tflite", b"garbage", "its sha256 is not the one in model.json"),
        ("model.tflite", b"", "is empty"),
        ("model.json", older, "this program reads schema 1"),
        ("model.json", b"\xff\x00", "model.json"),
    ):
        (model / name).write_bytes(content)
        done = command("fer-edge", "service", "check", "--config", config)
        assert done.returncode == 4
        assert telling in done.stderr
        assert len(done.stderr.splitlines()) == 1
    before = out.read_bytes()
    wait_until(lambda: lines(out) > before.count(b"\n") + 5)
    assert run.end() == 0
    before = out.read_bytes()
    assert command("fer-edge", "run", "--config", config).returncode == 4
    assert out.read_bytes() == before


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(
    ("option", "limits"),
    [("--nofile", (5, 64)), ("--as", (200_000_000, 580_000_000, 16_000_000_000))],
)
def test_too_little_of_everything_is_one_line_until_there_is_enough(
    tmp_path: Path, option: str, limits: tuple[int, ...]
) -> None:
    """The least is too little everywhere, and the most enough; how much is needed between differs between machines."""
    if not shutil.which("prlimit"):
        pytest.skip("no prlimit: sudo apt install util-linux")
    codes = []
    for limit in limits:
        out = tmp_path / f"{limit}.jsonl"
        run = [FER_EDGE, "run", "--source", "demo", "--max-frames", "3", "--json", str(out)]
        done = subprocess.run(
            ["prlimit", f"{option}={limit}", *run], capture_output=True, text=True, timeout=120, check=False
        )
        codes.append(done.returncode)
        assert "Traceback" not in done.stderr
        if done.returncode:
            assert done.stderr.splitlines()[-1].startswith("error: ")
        else:
            assert out.read_text().count("\n") == 3
    assert (codes[0], codes[-1]) == (2, 0)
    assert set(codes) == {0, 2}


def test_the_kernel_ends_what_outgrows_its_memory_limit_and_no_line_is_lost(tmp_path: Path) -> None:
    group = memory_group("fer-edge-test")
    out, config = tmp_path / "out.jsonl", tmp_path / "config.toml"
    config.write_text(f'source = "demo"\njson = "{out}"\n[json_lines]\nappend = true\n')
    assert subprocess.run([FER_EDGE, "run", "--config", config, "--max-frames", "5"], check=False).returncode == 0
    before = out.read_bytes()
    script = f"echo $$ > {group}/cgroup.procs && exec {FER_EDGE} run --config {config}"
    try:
        assert subprocess.run(["bash", "-c", script], timeout=60, check=False).returncode == -signal.SIGKILL
    finally:
        group.rmdir()
    assert out.read_bytes().startswith(before)


def memory_group(name: str) -> Path:
    """A control group of 40 MB, of the first or second version."""
    for base, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(base) / name
        try:
            group.mkdir()
            (group / limit).write_text("40000000")
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        return group
    pytest.skip("no control group with a memory limit can be made: run the tests as root")
