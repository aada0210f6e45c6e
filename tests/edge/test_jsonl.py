"""JSON lines for months: complete after every crash, of limited size, without lost lines."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.camera import LoopbackCamera
from tests.conftest import Run, wait_until
from tests.notify import Notifications

from fer_edge.config import JsonLinesConfig
from fer_edge.errors import ConfigError
from fer_edge.sinks import StopRun
from fer_edge.sinks.jsonl import JsonLines
from fer_edge.sinks.rotating_file import RotatingFile
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))

YEAR = 365 * 24 * 3600


def configuration(folder: Path, *settings: str) -> Path:
    path = folder / "config.toml"
    lines = [f'source = "demo"\njson = "{folder / "out.jsonl"}"', "[json_lines]", "append = true", *settings]
    path.write_text("\n".join(lines))
    return path


def frames(path: Path) -> list[int]:
    """The frames of a file in which every line is whole."""
    content = path.read_bytes()
    assert content.endswith(b"\n")
    return [record["frame"] for record in map(json.loads, content.splitlines()) if "frame" in record]


def runs(path: Path) -> list[dict[str, Any]]:
    """What a log says of starts and ends."""
    return [record for record in map(json.loads, path.read_text().splitlines()) if "run" in record]


def result(*identities: int, index: int = 0, label: str = "happy", name: str = "") -> FrameResult:
    """A frame, captured at a second of its index, with these faces; the odd ones are visible."""
    read = Prediction(np.array([0.25, 0.75], np.float32), label, 0.75)
    faces = (
        TrackedFace(Track(number, FaceBox(1, 2, 30, 40, 0.5), 9, 0, visible=number % 2 == 1), read, read)
        for number in identities
    )
    return FrameResult(Frame(np.zeros((48, 64, 3), np.uint8), float(index), index, name=name), tuple(faces), {})


def test_each_run_of_a_log_starts_and_stops_and_one_without_a_stop_is_told_at_the_next_start(tmp_path: Path) -> None:
    out, config = tmp_path / "out.jsonl", JsonLinesConfig(append=True)
    with JsonLines(str(out), config) as sink:
        assert sink.description == str(out)
        sink.emit(result(1, index=0))
        sink.emit(result(1, index=1))
    killed = JsonLines(str(out), config)
    killed.__enter__()
    killed.emit(result(3, 4, 5, index=2))
    with JsonLines(str(out), config) as sink:
        sink.waiting("the camera")
    with JsonLines(str(out), config):
        pass  # a run without a frame says nothing
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(line.pop("time") for line in lines)
    assert [line for line in lines if "frame" not in line] == [
        {"run": "start", "faces": []},
        {"run": "stop", "faces": []},
        {"run": "start", "faces": []},
        {"run": "unfinished", "last": json.loads(out.read_text().splitlines()[5])["time"], "seen": [3, 5], "faces": []},
        {"run": "start", "faces": []},
        {"camera": "offline", "faces": []},
        {"run": "stop", "faces": []},
    ]
    assert [line["frame"] for line in lines if "frame" in line] == [0, 1, 2]


def test_a_camera_that_is_lost_and_back_is_a_line_each_and_its_faces_are_new(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with JsonLines(str(out), JsonLinesConfig(on_change=True)) as sink:
        for index in (3, 4):
            sink.emit(result(1, index=index))
        for _ in range(2):
            sink.waiting("the camera")
        for index in (5, 6):
            sink.emit(result(1, index=index))
        sink.emit(result(1, 2, index=7))
        sink.emit(result(1, index=8, label="sad"))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line.get("camera") or (line["frame"], line["elapsed_s"]) for line in lines] == [
        (3, 0.0),
        "offline",
        "online",
        (5, 2.0),
        (8, 5.0),
    ]


def test_lines_go_to_standard_output_until_its_reader_ends(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with JsonLines("-", JsonLinesConfig(append=True)) as sink:
        assert sink.description == "standard output"
        sink.emit(result(1, name=os.fsdecode(b"\xff.jpg")))
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert line["file"] == "\udcff.jpg"
    assert line["faces"][0]["raw"] == [0.25, 0.75]
    assert not Path("-").exists()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe, JsonLines("-", JsonLinesConfig()) as sink:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(StopRun):
            sink.emit(result(1))
        assert Path("/proc/self/fd/1").readlink() == Path("/dev/null")


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised, JsonLines(str(tmp_path), JsonLinesConfig()):
        pass
    assert str(raised.value) == f"'{tmp_path}': cannot be written (Is a directory)"


def test_a_log_is_appended_to_and_rotated_by_size(command: Run, tmp_path: Path) -> None:
    config = configuration(tmp_path, "max_mb = 0.01", "keep = 9", "sync_s = 0")
    for _ in range(2):
        assert command("fer-edge", "run", "--config", config, "--max-frames", 40).returncode == 0
    aside = sorted(tmp_path.glob("out.jsonl.*"), reverse=True)
    assert len(aside) >= 2
    assert all(path.stat().st_size <= 10_000 for path in aside)
    kept = [frame for path in [*aside, tmp_path / "out.jsonl"] for frame in frames(path)]
    assert len(kept) == 80
    again = kept.index(0, 1)
    assert kept[:again] == sorted(kept[:again])
    assert kept[again:] == sorted(kept[again:])


def test_a_log_tells_when_a_run_starts_and_stops_and_whom_a_killed_one_saw_last(tmp_path: Path) -> None:
    out, config = tmp_path / "out.jsonl", configuration(tmp_path, "on_change = true")
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        size = out.stat().st_size if out.exists() else 0
        process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.DEVNULL)
        wait_until(lambda: out.exists() and b'"label"' in out.read_bytes()[size:])  # noqa: B023
        process.send_signal(end)
        assert process.wait(20) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
    told = runs(out)
    assert [record["run"] for record in told] == ["start", "stop", "start", "unfinished", "start", "stop"]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    last = lines[lines.index(told[3]) - 1]
    assert told[3]["last"] == last["time"]
    assert told[3]["seen"] == [face["id"] for face in last["faces"] if face["visible"]] == [1]
    assert all(record["faces"] == [] for record in told)
    assert lines[0] == told[0]
    assert lines[-1] == told[-1]


def test_the_oldest_logs_go(command: Run, tmp_path: Path) -> None:
    config = configuration(tmp_path, "max_mb = 0.005", "keep = 2")
    assert command("fer-edge", "run", "--config", config, "--max-frames", 60).returncode == 0
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.jsonl", "out.jsonl.1", "out.jsonl.2"]


def test_a_log_is_rotated_by_the_age_of_its_first_line(command: Run, tmp_path: Path) -> None:
    old = '{"time":"2020-01-01T00:00:00.000Z","frame":7}\n'
    (tmp_path / "out.jsonl").write_text(old)
    assert command("fer-edge", "run", "--config", configuration(tmp_path), "--max-frames", 3).returncode == 0
    assert (tmp_path / "out.jsonl.1").read_text() == old
    assert len(frames(tmp_path / "out.jsonl")) == 3


def test_only_changes_are_written_when_only_those_are_asked_for(command: Run) -> None:
    done = command("fer-edge", "run", "--source", "demo", "--max-frames", 150, "--json", "-", "--on-change")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    shown = [[(face["id"], face["label"]) for face in record["faces"]] for record in records]
    assert next(filter(None, shown)) == [(1, "happy")]
    assert 2 <= len(shown) < 75
    assert all(before != after for before, after in pairwise(shown))


@pytest.mark.parametrize("options", [[], ["--on-change"]])
def test_a_camera_that_goes_is_a_line_and_so_is_its_return(
    camera: LoopbackCamera, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "out.jsonl"
    command = [FER_EDGE, "run", "--source", camera.url(), "--json", str(out), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: out.is_file() and '"happy"' in out.read_text())
    camera.unplug()
    wait_until(lambda: '"camera":"offline"' in out.read_text())
    camera.turn_away(2)
    camera.plug()
    wait_until(lambda: '"label"' in out.read_text().partition('"camera":"online"')[2])
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    states = [number for number, record in enumerate(records) if "camera" in record]
    assert [records[number]["camera"] for number in states] == ["offline", "online"]
    assert states[1] == states[0] + 1
    for number in states:
        assert set(records[number]) == {"time", "camera", "faces"}
        assert records[number]["faces"] == []
    assert all("frame" in record for record in records if "camera" not in record)


def test_a_camera_missing_at_the_start_is_one_line(camera: LoopbackCamera, tmp_path: Path) -> None:
    camera.unplug()
    out, config = tmp_path / "out.jsonl", tmp_path / "config.toml"
    config.write_text(
        f'source = "{camera.url("black")}"\njson = "{out}"\n[camera]\nwait = true\n[json_lines]\non_change = true\n'
    )
    systemd = Notifications(tmp_path)
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address}
    command = [FER_EDGE, "run", "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    wait_until(lambda: out.is_file() and "offline" in out.read_text())
    camera.plug()
    wait_until(lambda: "online" in out.read_text())
    wait_until(lambda: systemd.count("FPS, 0 faces") >= 2)  # a second of frames that change nothing
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert [json.loads(line)["camera"] for line in out.read_text().splitlines()] == ["offline", "online"]


@pytest.mark.slow
def test_lines_are_whole_after_every_kill(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    config = configuration(tmp_path, "sync_s = 0")
    luck = random.Random(7)  # noqa: S311 - nothing secret
    kept = b""
    for _ in range(12):
        process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.DEVNULL)
        size = out.stat().st_size if out.exists() else 0
        wait_until(lambda: out.exists() and out.stat().st_size > size)  # noqa: B023
        time.sleep(luck.uniform(0, 0.3))
        process.kill()
        process.wait()
        content = out.read_bytes()
        assert content.startswith(kept), "a line was lost or changed"
        kept = content
    lines = kept.decode().splitlines()
    assert len(lines) >= 12
    for line in lines:
        json.loads(line)


@pytest.mark.parametrize("torn", [b'{"time":"2026', b'{"t', b"\0" * 100])
def test_what_a_power_cut_left_of_a_line_is_cut_off(command: Run, tmp_path: Path, torn: bytes) -> None:
    whole = b'{"time":"%s","frame":7}\n' % time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()).encode()
    (tmp_path / "out.jsonl").write_bytes(whole + torn)
    assert command("fer-edge", "run", "--config", configuration(tmp_path), "--max-frames", 2).returncode == 0
    assert len(frames(tmp_path / "out.jsonl")) == 3


def test_a_file_that_is_no_log_is_never_cut(command: Run, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("my notes\nmy last note")
    done = command("fer-edge", "run", "--config", configuration(tmp_path), "--max-frames", 2)
    assert done.returncode == 2
    assert "is no log of this program" in done.stderr
    assert (tmp_path / "out.jsonl").read_text() == "my notes\nmy last note"


def test_a_removed_folder_is_logged_once_and_used_again_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    errors, systemd = tmp_path / "errors", Notifications(tmp_path)
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address}
    with errors.open("w") as stderr:
        command = [FER_EDGE, "run", "--config", str(configuration(folder))]
        process = subprocess.Popen(command, stderr=stderr, env=environment)
    wait_until(lambda: (folder / "out.jsonl").is_file() and (folder / "out.jsonl").stat().st_size > 0)
    shutil.rmtree(folder)
    wait_until(lambda: "No such file or directory" in errors.read_text())
    wait_until(lambda: systemd.count("No such file or directory") >= 2)  # a second of frames that are lost
    folder.mkdir()
    wait_until(lambda: "works again" in errors.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 2, "frames were lost: the exit code says so"
    assert errors.read_text().count("fails: No such file") == 1
    assert frames(folder / "out.jsonl")


def test_a_full_disk_costs_only_what_did_not_fit(small_disk: Path) -> None:
    filler, errors = small_disk / "filler", small_disk.parent / "errors"
    config = configuration(small_disk)
    filler.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 20_000))
    with errors.open("w") as stderr:
        process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=stderr)
    wait_until(lambda: "No space left on device" in errors.read_text(), 90)
    full = (small_disk / "out.jsonl").read_bytes()
    assert frames(small_disk / "out.jsonl")
    filler.unlink()
    wait_until(lambda: "works again" in errors.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 2
    assert errors.read_text().count("No space left on device") == 1
    assert (small_disk / "out.jsonl").read_bytes().startswith(full)
    assert frames(small_disk / "out.jsonl")[-1] > frames(small_disk / "out.jsonl")[0]


def test_a_full_disk_tears_no_line_of_standard_output(small_disk: Path) -> None:
    filler, out, errors = small_disk / "filler", small_disk / "out", small_disk.parent / "errors"
    filler.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 20_000))
    with out.open("w") as stdout, errors.open("w") as stderr:
        process = subprocess.Popen([FER_EDGE, "run", "--source", "demo", "--json", "-"], stdout=stdout, stderr=stderr)
    wait_until(lambda: "No space left on device" in errors.read_text())
    filler.unlink()
    wait_until(lambda: "works again" in errors.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 2
    written = frames(out)
    assert written == sorted(written)


def test_a_foreign_file_in_the_logs_place_is_never_added_to(tmp_path: Path) -> None:
    log = RotatingFile(tmp_path / "log.jsonl", JsonLinesConfig(append=True))
    log.open()
    log.write(b'{"time":1}\n')
    (tmp_path / "notes").write_text("my notes\nmy last note")
    (tmp_path / "notes").replace(tmp_path / "log.jsonl")
    for _ in range(3):
        with pytest.raises(OSError, match="is no log of this program"):
            log.write(b'{"time":2}\n')
    assert (tmp_path / "log.jsonl").read_text() == "my notes\nmy last note"
    (tmp_path / "log.jsonl").unlink()
    log.write(b'{"time":3}\n')
    log.close()
    assert (tmp_path / "log.jsonl").read_bytes() == b'{"time":3}\n'


def test_the_last_change_before_quiet_is_made_safe_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, safe, fsync = tmp_path / "out.jsonl", [], os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        safe.append(out.stat().st_size)

    monkeypatch.setattr(os, "fsync", noted)
    with JsonLines(str(out), JsonLinesConfig(append=True, on_change=True, sync_s=0.1)) as sink:
        sink.emit(result())
        assert not safe
        wait_until(lambda: sink.emit(result()) or bool(safe))  # type: ignore[func-returns-value]
        sink.emit(result())
        assert safe == [out.stat().st_size]
    assert len(frames(out)) == 1


@pytest.mark.parametrize("sync_s", [None, 1000])
def test_lines_are_safe_when_the_log_is_closed_where_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync_s: float | None
) -> None:
    out, safe, fsync = tmp_path / "out.jsonl", [0], os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        safe.append(out.stat().st_size)

    monkeypatch.setattr(os, "fsync", noted)
    with JsonLines(str(out), JsonLinesConfig(append=True, sync_s=sync_s)) as sink:
        sink.emit(result())
        assert safe[-1] == 0
    assert safe[-1] == (out.stat().st_size if sync_s else 0)


@pytest.mark.skipif(
    not shutil.which("cc"), reason="no C compiler, which builds what steps the clock: sudo apt install gcc libc6-dev"
)
def test_a_clock_that_steps_by_a_year_only_rotates_the_log(tmp_path: Path) -> None:
    shim, clock, out = tmp_path / "shim.so", tmp_path / "clock", tmp_path / "out.jsonl"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, Path(__file__).with_name("clock_shim.c")], check=True)
    clock.write_text("0")
    environment = {**os.environ, "LD_PRELOAD": str(shim), "CLOCK_STEP": str(clock)}
    process = subprocess.Popen(
        [FER_EDGE, "run", "--config", configuration(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: out.is_file() and out.read_text().count("\n") > 5)
    clock.write_text(str(YEAR))
    wait_until((tmp_path / "out.jsonl.1").is_file)
    wait_until(lambda: out.read_text().count("\n") > 5)
    clock.write_text(str(-YEAR))
    wait_until((tmp_path / "out.jsonl.2").is_file)
    wait_until(lambda: out.read_text().count("\n") > 5)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    lines = [
        json.loads(line)
        for name in ("out.jsonl.2", "out.jsonl.1", "out.jsonl")
        for line in (tmp_path / name).read_text().splitlines()
    ]
    elapsed = [line["elapsed_s"] for line in lines if "run" not in line]
    assert elapsed == sorted(elapsed)
    assert elapsed[-1] < 60
    assert len({line["time"][:4] for line in lines}) == 3
    assert {face["id"] for line in lines for face in line["faces"]} == {1}
