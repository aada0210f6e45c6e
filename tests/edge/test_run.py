"""`fer-edge run`, as a user starts it."""

import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run, fill, is_still, wait_until

from fer_edge.geometry import iou
from fer_edge.sources.demo import scene_at
from fer_edge.types import FaceBox, Image

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_video_becomes_one_line_per_frame_with_the_right_faces(
    command: Run, demo_video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    done = command("fer-edge", "run", "--source", demo_video, "--json", out)
    assert done.returncode == 0, done.stderr
    assert "90 frames" in done.stderr
    lines = read_lines(out)
    assert [line["frame"] for line in lines] == list(range(90))
    found = 0
    for line in lines:
        assert set(line) == {"time", "frame", "elapsed_s", "faces", "timings_ms"}
        assert str(line["time"]).endswith("Z")
        for face in line["faces"]:  # type: ignore[attr-defined]
            assert sum(face["raw"]) == pytest.approx(1, abs=0.01)
            assert sum(face["smoothed"]) == pytest.approx(1, abs=0.01)
            assert line["elapsed_s"] > 2 or face["label"] == "happy"  # type: ignore[operator]
            found += iou(FaceBox(*face["box"]), scene_at(line["elapsed_s"]).box) > 0.5  # type: ignore[arg-type]
    assert found >= 85


def test_a_real_clip_gives_275_lines_with_faces(command: Run, stage_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert command("fer-edge", "run", "--source", stage_clip, "--json", out).returncode == 0
    lines = read_lines(out)
    assert len(lines) == 275
    labels = Counter(face["label"] for line in lines for face in line["faces"])  # type: ignore[attr-defined]
    assert labels.total() > 180, "he is near and looks at the camera in half of the frames"
    assert labels["neutral"] + labels["happy"] > 0.7 * (labels.total() - labels["uncertain"]), labels


def frames_of(video: Path) -> list[tuple[float, Image]]:
    """The milliseconds and the picture of each frame, at a quarter of its width."""
    capture, frames = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        small = cv2.resize(read[1], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        frames.append((capture.get(cv2.CAP_PROP_POS_MSEC), np.asarray(small, np.uint8)))
    return frames


def test_the_recording_has_each_frame_at_its_time(command: Run, demo_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert command("fer-edge", "run", "--source", demo_video, "--record", out).returncode == 0
    drawn, plain = frames_of(out), frames_of(demo_video)
    assert [at for at, _ in drawn] == pytest.approx([at for at, _ in plain], abs=1)
    for index, (_, image) in enumerate(drawn):
        assert cv2.absdiff(image, plain[index][1]).max() > 100, "nothing was drawn"
        differences = [cv2.absdiff(image, other).mean() for _, other in plain]
        assert abs(int(np.argmin(differences)) - index) <= 2, "it is another frame"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_pictures_in_a_folder_are_read_one_by_one(command: Run, demo_video: Path, tmp_path: Path) -> None:
    capture = cv2.VideoCapture(str(demo_video))
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(tmp_path / name), capture.read()[1])
    done = command("fer-edge", "run", "--source", tmp_path, "--json", "-")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == ["one.png", "two.png"]
    assert [len(line["faces"]) for line in lines] == [1, 1]
    assert lines[0]["faces"][0]["id"] != lines[1]["faces"][0]["id"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_files_closed(tmp_path: Path, number: signal.Signals) -> None:
    out, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    process = subprocess.Popen(
        [FER_EDGE, "run", "--source", "demo", "--json", str(out), "--record", str(video)],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: out.is_file() and out.read_text().count("\n") >= 20)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "frames" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    lines = read_lines(out)
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) >= len(lines)


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; before that, the signal's default ends it."""
    caught = next(
        line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("SigCgt")
    )
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("delay", [0, 0.1, 0.4])
def test_a_signal_while_it_starts_is_not_lost(delay: float) -> None:
    process = subprocess.Popen([FER_EDGE, "run", "--source", "demo"], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: catches(process.pid, signal.SIGTERM))
    time.sleep(delay)  # at some place of its start
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "error" not in errors


TWO_SIGNALS = """
import os, signal, time
from fer_edge.cli.signals import StopSignals
StopSignals()
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(2)
"""


def test_a_second_signal_ends_it_at_once_whatever_its_kind() -> None:
    assert subprocess.run([sys.executable, "-c", TWO_SIGNALS], timeout=60, check=False).returncode == -signal.SIGINT


IGNORED_SIGNAL = """
import os, signal
from fer_edge.cli.signals import StopSignals
stop = StopSignals()
os.kill(os.getpid(), signal.SIGHUP)
assert not stop.requested
os.kill(os.getpid(), signal.SIGTERM)
assert stop.requested
os.kill(os.getpid(), signal.SIGHUP)
"""


def test_a_signal_that_is_ignored_as_under_nohup_stays_ignored() -> None:
    words = ["nohup", sys.executable, "-c", IGNORED_SIGNAL]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_signal_while_something_blocks_ends_it_well(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    os.mkfifo(config)
    process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.PIPE)
    with config.open("w"):  # it has begun to read its configuration, which does not end
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    process.communicate()


def test_a_video_comes_through_a_pipe(tmp_path: Path) -> None:
    video, pipe = tmp_path / "video.mkv", tmp_path / "pipe"
    assert (
        subprocess.run(
            [FER_EDGE, "run", "--source", "demo", "--max-frames", "5", "--record", video], check=False
        ).returncode
        == 0
    )
    os.mkfifo(pipe)
    writer = subprocess.Popen(["dd", f"if={video}", f"of={pipe}", "conv=notrunc", "status=none"])
    done = subprocess.run(
        [FER_EDGE, "run", "--source", pipe, "--json", "-"], capture_output=True, timeout=60, check=False
    )
    writer.wait(10)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) >= 5


@pytest.mark.parametrize("module", ["fer_edge", "fer_train", "fer_quantize"])
def test_ctrl_c_while_it_is_imported_shows_no_traceback(tmp_path: Path, module: str) -> None:
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_full_disk_is_logged_once_and_ends_with_an_error(command: Run) -> None:
    done = command("fer-edge", "run", "--source", "demo", "--max-frames", 5, "--json", "/dev/full")
    assert done.returncode == 2
    assert done.stderr.count("No space left on device") == 1
    assert "/dev/full: 5 of 5 frames could not be written" in done.stderr


def test_inputs_are_never_overwritten(command: Run, demo_video: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copy(demo_video, tmp_path / "clip.mp4"))
    before = clip.read_bytes()
    for option in ("--json", "--record"):
        done = command("fer-edge", "run", "--source", clip, option, clip)
        assert done.returncode == 2
        assert "is also the source file" in done.stderr
    done = command("fer-edge", "run", "--source", clip, "--json", tmp_path / "x.mp4", "--record", tmp_path / "x.mp4")
    assert done.returncode == 2
    assert clip.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_file_url_is_a_file(command: Run, demo_video: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copy(demo_video, tmp_path / "a clip.mp4"))
    done = command("fer-edge", "run", "--source", clip.as_uri(), "--max-frames", 100)
    assert done.returncode == 0
    assert "90 frames" in done.stderr
    done = command("fer-edge", "run", "--source", clip.as_uri(), "--json", clip)
    assert done.returncode == 2
    assert "is also the source file" in done.stderr
    assert clip.read_bytes() == demo_video.read_bytes()


def test_a_detectors_model_is_never_overwritten(command: Run, tmp_path: Path) -> None:
    model, config = tmp_path / "face.tflite", tmp_path / "config.toml"
    model.write_bytes(b"a model")
    config.write_text(f'source = "demo"\n[detector]\nmodel = "{model}"\n')
    done = command("fer-edge", "run", "--config", config, "--json", model, "--max-frames", 2)
    assert done.returncode == 2
    assert "is also the detector file" in done.stderr
    assert model.read_bytes() == b"a model"


def test_an_earlier_output_is_kept_until_there_is_a_frame(command: Run, tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("{kept, without an end")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"no picture")
    done = command("fer-edge", "run", "--source", tmp_path / "broken", "--json", old)
    assert done.returncode == 3
    assert old.read_text() == "{kept, without an end"
    assert command("fer-edge", "run", "--source", "demo", "--max-frames", 2, "--json", old).returncode == 0
    assert len(read_lines(old)) == 2


def test_an_earlier_output_survives_when_another_cannot_be_opened(command: Run, tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("{kept")
    done = command("fer-edge", "run", "--source", "demo", "--json", old, "--record", tmp_path / "no" / "x.mp4")
    assert done.returncode == 2
    assert old.read_text() == "{kept"


def test_a_slow_source_keeps_its_ids(command: Run, demo_video: Path, tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg, which slows the video down: sudo apt install ffmpeg")
    slow, out = tmp_path / "slow.mkv", tmp_path / "out.jsonl"
    script = f"ffmpeg -v error -i {demo_video} -vf select='lt(n\\,8)',setpts=N/TB -fps_mode vfr {slow}"
    subprocess.run(shlex.split(script), check=True)
    assert command("fer-edge", "run", "--source", slow, "--json", out).returncode == 0
    lines = read_lines(out)
    assert [line["elapsed_s"] for line in lines] == pytest.approx(range(8), abs=0.01)
    assert {face["id"] for line in lines for face in line["faces"]} == {1}  # type: ignore[attr-defined]


def test_a_reader_that_goes_away_ends_it_cleanly(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S602 - a pipe is what is tested
        f"{FER_EDGE} run --source demo --json - 2>{tmp_path / 'errors'} | head -n 3",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert len(done.stdout.splitlines()) == 3
    assert "Traceback" not in (tmp_path / "errors").read_text()


def test_a_reader_that_stalls_cannot_keep_it_from_ending(tmp_path: Path) -> None:
    video = tmp_path / "out.mp4"
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [FER_EDGE, "run", "--source", "demo", "--json", "-", "--record", str(video)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), sys.byteorder) > 0)
    fill(writing)
    os.close(writing)
    wait_until(lambda: is_still(process.pid))  # the next line stalls
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    os.close(reading)
    assert process.returncode == 0, errors
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) >= 1


def test_max_fps_limits_the_frames_per_second(command: Run) -> None:
    done = command("fer-edge", "run", "--source", "demo", "--max-fps", 10, "--max-frames", 15)
    assert done.returncode == 0, done.stderr
    fps = float(done.stderr.splitlines()[-1].partition(" s, ")[2].partition(" FPS")[0])
    assert fps < 15  # of the 30 that the demo has
    assert "latency p50" in done.stderr.splitlines()[-1]


def test_a_file_is_never_slowed_down_nor_loses_a_frame(command: Run, demo_video: Path, tmp_path: Path) -> None:
    out, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    done = command(
        "fer-edge", "run", "--source", demo_video, "--max-fps", 1, "--power-save", "--json", out, "--record", video
    )
    assert done.returncode == 0, done.stderr
    assert len(read_lines(out)) == 90
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == 90


def test_without_a_terminal_only_changes_are_logged(command: Run, demo_video: Path) -> None:
    done = command("fer-edge", "run", "--source", demo_video)
    said = [line for line in done.stderr.splitlines() if line.startswith("#1")]
    assert said
    assert len(said) < 10
    assert done.stdout == ""


def test_the_last_line_sums_up_the_run(command: Run, demo_video: Path) -> None:
    done = command("fer-edge", "run", "--source", demo_video, "--max-frames", 40)
    last = done.stderr.splitlines()[-1]
    found = re.fullmatch(
        r"(.+): 40 frames in ([\d.]+) s, ([\d.]+) FPS, 1 face, latency p50 ([\d.]+) ms, p95 ([\d.]+) ms", last
    )
    assert found, last
    assert found[1] == str(demo_video)
    seconds, fps, middle, most = map(float, found.groups()[1:])
    assert (seconds - 0.05) * (fps - 0.05) <= 40 <= (seconds + 0.05) * (fps + 0.05)
    assert 0 < middle <= most
    assert 20 * middle <= 1000 * (seconds + 0.05), "half of the frames took at least so long"


def test_a_terminal_shows_a_live_line(demo_video: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen([FER_EDGE, "run", "--source", demo_video], stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:
            break
    process.wait(timeout=20)
    os.close(master)
    assert b"fps" in shown
    assert b"/90" in shown


def test_auto_without_a_camera_is_the_demo_and_says_so(command: Run) -> None:
    if list(Path("/dev").glob("video*")):
        pytest.skip("this machine has a camera")
    done = command("fer-edge", "run", "--max-frames", 2)
    assert done.returncode == 0
    assert "showing the built-in demo" in done.stderr


def test_a_configuration_file_is_read_and_options_override_it(command: Run, tmp_path: Path, demo_video: Path) -> None:
    out = tmp_path / "out.jsonl"
    config = tmp_path / "config.toml"
    config.write_text(f'source = "{demo_video}"\njson = "{out}"\nmax_frames = 5\n[tracker]\nscan_interval = 0.5\n')
    assert command("fer-edge", "run", "--config", config).returncode == 0
    assert len(read_lines(out)) == 5
    assert command("fer-edge", "run", "--config", config, "--max-frames", 7).returncode == 0
    assert len(read_lines(out)) == 7
