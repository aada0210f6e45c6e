"""Shared fixtures. Tests that want the real data sets skip without FER_DATA and FER_MEDIA."""

import csv
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import hypothesis
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.labels import FER2013
from fer_edge.model.bundle import find_bundle
from fer_edge.types import Image
from fer_train.data.augmentation import Augmentation
from tests import warm
from tests.broker import MOSQUITTO, Broker
from tests.camera import LoopbackCamera

pytest_plugins = ["tests.leftovers"]

Run = Callable[..., subprocess.CompletedProcess[str]]

# A mutant is dead at the first example that fails: none simpler is looked for.
hypothesis.settings.register_profile("mutants", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix the tests. Under mutation, leave out what starts programs: they run without the faults."""
    if config.getoption("--hypothesis-profile") == "mutants":
        items[:] = [item for item in items if isinstance(item, pytest.Function) and not _starts_programs(item)]
    _mix(items)


def _starts_programs(test: pytest.Function) -> bool:
    fixtures = {"browser", "camera", "command"} & {*test.fixturenames}
    calls = re.compile(r"subprocess\.|(?<![\w.])(Running|running|start|started)\(")
    return bool(fixtures) or calls.search(inspect.getsource(test.function)) is not None


def _mix(items: list[pytest.Item]) -> None:
    """Mix the files of the folders evenly: some tests compute and others wait, so the processors are always busy."""
    folders: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(item.path for item in items):
        folders.setdefault(path.parent, []).append(path)
    place = {path: index / len(files) for files in folders.values() for index, path in enumerate(files)}
    items.sort(key=lambda item: place[item.path])


VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
VOTED = {"angry": "anger", "happy": "happiness", "sad": "sadness"}


def wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for something that must come true; with a fault in the code for less time, since there are thousands."""
    has_fault = "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", "")
    end = time.monotonic() + (min(seconds, 15) if has_fault else seconds)
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def fill(pipe: int) -> None:
    """Write to a pipe, by its writing end, until not one more byte fits: whoever writes next waits."""
    own = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(own, b" ")
    os.close(own)


def is_still(process: int) -> bool:
    """Whether a process takes no processor time for half a second."""

    def ticks() -> list[str]:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[11:13]

    before = ticks()
    time.sleep(0.5)
    return ticks() == before


def listener(port: int) -> str | None:
    """The inode of the socket that listens on an IPv4 port; None if there is none."""
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return next((row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"), None)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users may enter; each start of pytest shuts them out of the folder above `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="fer-edge-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make coverage` does not count the programs that a test starts: coverage.py needs files, and changes signals."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to open everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    if os.geteuid() != 0:
        pytest.skip("a small file system cannot be mounted: run the tests as root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def latin1(tmp_path: Path) -> dict[str, str]:
    """The environment of a system whose locale knows Latin letters alone."""
    if not shutil.which("localedef"):
        pytest.skip("no localedef: sudo apt install locales")
    locales = tmp_path / "locales"
    locales.mkdir()
    subprocess.run(["localedef", "-f", "ISO-8859-1", "-i", "en_US", locales / "en_US.ISO-8859-1"], check=True)
    return {**os.environ, "LOCPATH": str(locales), "LC_ALL": "en_US.ISO-8859-1"}


@pytest.fixture
def camera() -> Iterator[LoopbackCamera]:
    """A network camera that can be unplugged."""
    camera = LoopbackCamera()
    yield camera
    camera.unplug()


@pytest.fixture(scope="session")
def bundle_dir() -> Path:
    """The shipped default bundle."""
    return find_bundle("ferplus7")


@pytest.fixture
def command() -> Run:
    """Run one of the package's commands as a user would; in a process that is warm, unless something is unusual."""

    def run(
        name: str,
        *args: object,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **options: object,
    ) -> subprocess.CompletedProcess[str]:
        is_usual = not options and (env is None or (name != "fer-edge" and "KERAS_BACKEND" not in env))
        if name in warm.COMMANDS and is_usual:
            return warm.run(name, [*map(str, args)], timeout, env, cwd)
        return subprocess.run(  # type: ignore[no-any-return]
            [Path(sys.executable).with_name(name), *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=env,
            cwd=cwd,
            **options,  # type: ignore[call-overload]
        )

    return run


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running mosquitto."""
    if not Path(MOSQUITTO).exists():
        pytest.skip("no mosquitto: sudo apt install mosquitto")
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session", autouse=True)
def named_data() -> str:
    """The value of FER_DATA, which is then unset: the commands under test would read it, too."""
    return os.environ.pop("FER_DATA", "")


@pytest.fixture(scope="session")
def fer_data(named_data: str) -> Path:
    """The folder with the real fer2013.csv and fer2013new.csv."""
    if not named_data or not (Path(named_data) / "fer2013.csv").is_file():
        pytest.skip("FER_DATA is not set to a folder with fer2013.csv")
    return Path(named_data)


@pytest.fixture(scope="session")
def stage_clip() -> Path:
    """A real video: 275 frames of a man on a stage."""
    clip = Path(os.environ.get("FER_MEDIA", "/nonexistent")) / "stage_clip.mp4"
    if not clip.is_file():
        pytest.skip("FER_MEDIA is not set to a folder with stage_clip.mp4")
    return clip


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FER2013's and FER+'s files with varied composite faces: 40 per class to train on, 10 to validate."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows: list[tuple[str, Image, str]] = []
    for usage, count in (("Training", 40), ("PublicTest", 10), ("PrivateTest", 2)):
        for label, face in load_composites().items():
            varied = Augmentation().apply(np.repeat(face[None], count, axis=0), rng)
            rows.extend((label, image, usage) for image in varied)
    rows = [rows[index] for index in rng.permutation(len(rows))]
    with (folder / "fer2013.csv").open("w", newline="") as faces, (folder / "fer2013new.csv").open("w") as votes:
        writer, voter = csv.writer(faces), csv.writer(votes)
        writer.writerow(("emotion", "pixels", "Usage"))
        voter.writerow(("Usage", "Image name", *VOTES))
        for index, (label, image, usage) in enumerate(rows):
            writer.writerow((FER2013.index(label), " ".join(map(str, image.ravel())), usage))
            named = VOTED.get(label, label)
            voter.writerow((usage, f"fer{index:07d}.png", *(8 if vote == named else 0 for vote in VOTES)))
    return folder


@pytest.fixture(scope="session")
def demo_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of the demo as a video file, 90 frames."""
    from fer_edge.sources.demo import FPS, HEIGHT, WIDTH, DemoSource

    path = tmp_path_factory.mktemp("video") / "demo.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    with DemoSource(paced=False) as source:
        for frame in source:
            writer.write(frame.image)
            if frame.index == 89:
                break
    writer.release()
    return path
