"""Several workers over loopback: they learn what one alone learns, and one of them writes."""

import csv
import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.conftest import Run, wait_until

from fer_edge.errors import ConfigError
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.training.distributed import (  # noqa: E402
    SINGLE_PROCESS,
    Coordinator,
    Shard,
    parse_coordinator,
    shutdown,
    undistributed,
)

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
        assert "error: the workers differ. Start all with the same options, data and contents of --out" in complaint
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


# Without a second process


def test_a_batch_is_divided_among_workers_and_devices() -> None:
    middle = Shard(worker=1, workers=3, devices=6)
    assert list(range(8))[middle.rows] == [1, 4, 7]
    assert [middle.divisible(count) for count in (5, 6, 17, 18)] == [0, 6, 12, 18]
    assert [Shard(worker, 3).writes for worker in range(3)] == [True, False, False]
    assert list(range(8))[SINGLE_PROCESS.rows] == list(range(8))
    assert (SINGLE_PROCESS.writes, SINGLE_PROCESS.divisible(7)) == (True, 7)


@pytest.mark.parametrize(
    ("place", "telling"),
    [
        ((2, None, None), "--workers, --worker and --coordinator belong together. Give all three, or none"),
        ((None, 0, None), "--workers, --worker and --coordinator belong together. Give all three, or none"),
        ((None, None, "here:1"), "--workers, --worker and --coordinator belong together. Give all three, or none"),
        ((2, 0, None), "--workers, --worker and --coordinator belong together. Give all three, or none"),
        ((2, None, "here:1"), "--workers, --worker and --coordinator belong together. Give all three, or none"),
        ((None, 1, "here:1"), "--workers, --worker and --coordinator belong together. Give all three, or none"),
        ((2, 2, "here:1"), "--worker 2: of 2 workers the first is 0 and the last 1"),
        ((2, -1, "here:1"), "--worker -1: of 2 workers the first is 0 and the last 1"),
        ((2, 1, ":1"), "--coordinator :1: expected HOST:PORT of worker 0, as in 192.168.1.10:9911"),
        ((2, 1, "here"), "--coordinator here: expected HOST:PORT of worker 0, as in 192.168.1.10:9911"),
        ((2, 1, "here:port"), "--coordinator here:port: expected HOST:PORT of worker 0, as in 192.168.1.10:9911"),
        ((2, 1, "here:1"), "--workers: cannot run on tensorflow. Set KERAS_BACKEND=jax"),
    ],
)
def test_places_that_do_not_fit_together_are_told(
    place: tuple[int | None, int | None, str | None], telling: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_coordinator(*place)
    assert str(caught.value) == telling


def test_a_place_is_that_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_coordinator(None, None, None) is None
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert parse_coordinator(3, 2, "[::1]:9911") == Coordinator(2, 3, "[::1]:9911")
    assert parse_coordinator(1, 0, "here:1") == Coordinator(0, 1, "here:1")


def test_one_worker_saves_without_the_others_and_joins_them_again() -> None:
    together = keras.distribution.distribution()
    keras.distribution.set_distribution("of all workers")
    try:
        with pytest.raises(OSError, match="full"), undistributed():
            assert keras.distribution.distribution() is None
            raise OSError("full")
        assert keras.distribution.distribution() == "of all workers"
    finally:
        keras.distribution.set_distribution(together)


class Jax:
    """Stands in for JAX, whose workers could meet only once in this process.

    Attributes:
        said: what it was told, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, devices: int = 4, fails: bool = False) -> None:
        self.said: list[object] = []
        config = SimpleNamespace(update=lambda key, value: self.said.append((key, value)))

        def initialize(*place: object, **limits: int) -> None:
            self.said.append((*place, limits))
            if fails:
                raise RuntimeError("in use")

        distributed = SimpleNamespace(initialize=initialize, shutdown=lambda: self.said.append("shutdown"))
        module = SimpleNamespace(config=config, distributed=distributed, device_count=lambda: devices)
        monkeypatch.setitem(sys.modules, "jax", module)
        parallel = SimpleNamespace(DataParallel=lambda **settings: settings, set_distribution=self.said.append)
        monkeypatch.setattr(keras, "distribution", parallel)


MEETING = {"initialization_timeout": 300, "shutdown_timeout_seconds": 60}


def test_the_first_worker_waits_for_the_others_and_splits_the_batch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    jax = Jax(monkeypatch)
    caplog.set_level("INFO")
    assert Coordinator(0, 2, "127.0.0.1:9911").join(8) == Shard(0, 2, 4)
    assert jax.said == [
        ("jax_cpu_collectives_implementation", "gloo"),
        ("jax_enable_preemption_service", False),
        ("127.0.0.1:9911", 2, 0, MEETING),
        {"auto_shard_dataset": False},
    ]
    assert caplog.messages == ["waiting for 2 workers to meet at 127.0.0.1:9911"]
    shutdown()
    assert jax.said[-2:] == [None, "shutdown"]


def test_what_keeps_workers_from_meeting_is_told(monkeypatch: pytest.MonkeyPatch, coordinator: str) -> None:
    Jax(monkeypatch, fails=True)
    with pytest.raises(ConfigError) as caught:
        Coordinator(0, 2, coordinator).join(8)
    assert str(caught.value) == f"--coordinator {coordinator}: cannot listen there. Choose another port"
    jax = Jax(monkeypatch)
    with pytest.raises(ConfigError) as caught:
        Coordinator(0, 2, coordinator).join(6)
    assert str(caught.value) == "batch_size 6: cannot be split evenly over 4 devices"
    monkeypatch.setattr("fer_train.training.distributed._MEETING_SECONDS", -1)
    with pytest.raises(ConfigError) as caught:
        Coordinator(1, 2, coordinator).join(8)
    telling = f"--coordinator {coordinator}: worker 0 does not answer there (connection refused)"
    assert str(caught.value).lower() == telling.lower()
    assert len(jax.said) == 5, "JAX itself was not asked"


def test_another_worker_waits_until_the_first_listens(monkeypatch: pytest.MonkeyPatch, coordinator: str) -> None:
    jax = Jax(monkeypatch)
    host, _, port = coordinator.rpartition(":")
    with socket.socket() as first:
        first.bind((host, int(port)))

        def listen(seconds: float) -> None:
            assert seconds == 1
            first.listen()

        monkeypatch.setattr("fer_train.training.distributed.time.sleep", listen)
        assert Coordinator(1, 2, coordinator).join(8) == Shard(1, 2, 4)
    assert (coordinator, 2, 1, MEETING) in jax.said
