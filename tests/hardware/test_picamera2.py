"""The real picamera2 on libcamera's virtual camera, in a root that picamera2_virtual/prepare.sh made."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
START = "from fer_edge.cli.app import run; run()"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run fer-edge inside the root, where the package's wheel is unpacked first."""
    root = Path(os.environ.get("FER_PICAMERA2", "/nonexistent"))
    if not (root / "root/udmabuf.so").is_file():
        pytest.skip("FER_PICAMERA2 is not set to a root that picamera2_virtual/prepare.sh made")
    if os.getuid() != 0:
        pytest.skip("chroot wants root: run the tests as root")
    wheels = tmp_path_factory.mktemp("wheel")
    pip: list[str | Path] = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, HERE.parents[1]]
    subprocess.run(build, check=True, capture_output=True)
    site = root / "root/site"
    shutil.rmtree(site, ignore_errors=True)
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--target", site, next(wheels.iterdir())], check=True)
    shutil.copy(HERE / "picamera2_virtual/sitecustomize.py", site)
    settings = ["LD_PRELOAD=/root/udmabuf.so", "PYTHONPATH=/root/site", "LIBCAMERA_LOG_LEVELS=*:WARN"]

    def inside(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["chroot", str(root), "env", *settings, "/root/venv/bin/python", "-c", START, "run", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return inside


@pytest.mark.parametrize("source", ["picamera2", "picamera2:Virtual0", "auto"])
def test_frames_come_with_times_and_faces(run: Run, source: str) -> None:
    done = run("--source", source, "--max-frames", "60", "--json", "-")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 60
    indexes, times = ([line[field] for line in lines] for field in ("frame", "elapsed_s"))
    assert indexes == sorted(set(indexes)), "a frame was handed over twice"
    assert times == sorted(times)  # the virtual camera does not wait between frames
    assert times[-1] > 0
    found = [face for line in lines for face in line["faces"]]
    assert len(found) > 20, "few, since the virtual camera races and most of its frames are left out"
    assert all(150 < face["box"][2] < 350 for face in found), "boxes are not in pixels of the large picture"
    assert sum(face["label"] == "happy" for face in found) > 0.8 * len(found)


def test_an_unknown_camera_is_named(run: Run) -> None:
    done = run("--source", "picamera2:7")
    assert done.returncode == 3
    assert "picamera2 has no camera 7. Cameras: 0 (Virtual0)" in done.stderr
