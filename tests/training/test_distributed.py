"""Several workers over loopback: they learn what one alone learns, and one of them writes."""

import csv
import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Run, wait_until

FER_TRAIN = str(Path(sys.executable).with_name("fer-train"))
ON_JAX = os.environ | {"KERAS_BACKEND": "jax"}
RECIPE = "--recipe adam-50 --architecture cnn-small --labels fer2013 --epochs 2 --batch-size 24 --precision float32"
CHANGES = ("dropout=0", "mixup=0", "ema=0.9", "keep=best")
OPTIONS = [*RECIPE.split(), *(word for change in CHANGES for word in ("--set", change))]

needs_jax = pytest.mark.skipif(
    not importlib.util.find_spec("jax"), reason="jax is not installed: pip install '.[workers]'"
)


@pytest.fixture
def coordinator() -> str:
    """An address at which nobody listens yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def start(number: int, coordinator: str, *options: object) -> subprocess.Popen[str]:
    """Start one of two workers."""
    place = ("--workers", "2", "--worker", str(number), "--coordinator", coordinator)
    return subprocess.Popen(
        [FER_TRAIN, "fit", *OPTIONS, *place, *map(str, options)],
        env=ON_JAX,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def losses(out: Path) -> list[float]:
    with (out / "history.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) for name in ("loss", "val_loss")]


@pytest.mark.slow
@needs_jax
def test_two_workers_learn_what_one_learns_also_after_a_kill(
    command: Run, tiny_data: Path, tmp_path: Path, coordinator: str
) -> None:
    alone, together, unused = tmp_path / "alone", tmp_path / "together", tmp_path / "unused"
    data = ("--data", tiny_data)
    done = command("fer-train", "fit", *OPTIONS, *data, "--out", alone, env=ON_JAX, timeout=600)
    assert done.returncode == 0, done.stderr
    pair = [start(number, coordinator, *data, "--out", (together, unused)[number]) for number in (0, 1)]
    wait_until(lambda: bool(list(together.glob("unfinished/epoch-*"))) or pair[0].poll() is not None, seconds=300)
    assert pair[0].poll() is None, pair[0].stderr and pair[0].stderr.read()
    for process in pair:
        process.kill()
        process.communicate()
    assert not unused.exists()
    pair = [start(number, coordinator, *data, "--out", together, "--resume") for number in (0, 1)]
    said = [process.communicate(timeout=600) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said
    assert "trained" in said[0][0]
    assert "Worker 0 saves the model" in said[1][0]
    assert losses(together) == pytest.approx(losses(alone), rel=1e-3)
    assert sorted(path.name for path in together.iterdir()) == sorted(path.name for path in alone.iterdir())


@pytest.mark.slow
@needs_jax
def test_workers_that_differ_say_so(tiny_data: Path, tmp_path: Path, coordinator: str) -> None:
    options = ("--data", tiny_data, "--out", tmp_path / "run")
    pair = [start(number, coordinator, *options, "--seed", number) for number in (0, 1)]
    for process in pair:
        _, complaint = process.communicate(timeout=600)
        assert process.returncode == 2
        assert "error: the workers differ" in complaint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        (("--workers", 2), "Give all three, or none"),
        (("--workers", 2, "--worker", 2, "--coordinator", "localhost:9911"), "the last 1"),
        (("--workers", 2, "--worker", 0, "--coordinator", "localhost"), "expected HOST:PORT"),
        (("--workers", 2, "--worker", 0, "--coordinator", "localhost:9911"), "Set KERAS_BACKEND=jax"),
    ],
)
def test_wrong_places_are_one_line(
    command: Run, tiny_data: Path, tmp_path: Path, options: tuple[object, ...], telling: str
) -> None:
    done = command("fer-train", "fit", "--data", tiny_data, "--out", tmp_path / "run", *options)
    assert done.returncode == 2
    assert telling in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
