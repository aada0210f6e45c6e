"""The progress of a training in a terminal."""

import io
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.screen import run_in_terminal

from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.terminal import console
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so
import tensorflow as tf  # noqa: E402

from fer_train.training.precision import parse_precision  # noqa: E402
from fer_train.training.progress import EpochProgress, tensorboard_callback  # noqa: E402

FER_TRAIN = Path(sys.executable).with_name("fer-train")


@pytest.mark.slow
def test_a_training_with_several_heads_leaves_one_line_per_epoch(tiny_data: Path, tmp_path: Path) -> None:
    bars: set[str] = set()

    def watch(lines: list[str]) -> bool:
        bars.update(line.partition(" ━")[0] for line in lines if " ━" in line)
        assert sum("━" in line for line in lines) <= 1
        return False

    heads = ("--labels", "ferplus7", "--set", "also={ferplus8=0.5}")
    options = ("--recipe", "adam-50", "--architecture", "cnn-small", *heads, "--epochs", "2", "--out", tmp_path / "run")
    code, screen = run_in_terminal([FER_TRAIN, "fit", "--data", tiny_data, *options], watch, columns=80, seconds=300)
    assert code == 0, screen.lines
    text = "\n".join(screen.lines)
    first, second, end = (
        text.index("epoch 1/2: loss "),
        text.index("epoch 2/2: loss "),
        text.index("Next: fer-quantize"),
    )
    assert first < second < end
    assert "validation accuracy" in text[first:second]
    assert "━" not in text
    assert {"epoch 1/2", "epoch 2/2"} <= bars
    assert not screen.cursor_hidden


@pytest.mark.parametrize("head", ["", "ferplus7_"])
def test_a_line_tells_of_the_main_head_on_both_splits(caplog: pytest.LogCaptureFixture, head: str) -> None:
    caplog.set_level(logging.INFO)
    logs = {"loss": 1.2345, f"{head}accuracy": 0.5, f"val_{head}accuracy": 0.25, "val_ferplus8_accuracy": 0.75}
    with EpochProgress("ferplus7") as progress:
        progress.set_params({"epochs": 3, "steps": 2})
        progress.on_epoch_begin(1)
        progress.on_train_batch_end(0, {"loss": 2.0})
        progress.on_epoch_end(1, logs)
    (line,) = caplog.messages
    assert re.fullmatch(r"epoch 2/3: loss 1\.234, accuracy 50\.0 %, validation accuracy 25\.0 %, \d s", line), line


def test_a_precision_is_that_of_its_name() -> None:
    for name in ("float32", "mixed_bfloat16", "mixed_float16"):
        assert parse_precision(name) == name
    with pytest.raises(ConfigError, match="precision 'float16' is unknown"):
        parse_precision("float16")


class Terminal(io.StringIO):
    """A terminal that remembers all that was written."""

    def isatty(self) -> bool:
        return True


def test_the_bar_tells_the_epoch_the_steps_and_the_loss_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    console.cache_clear()
    try:
        with EpochProgress("ferplus7") as progress:
            progress.set_params({"epochs": 3, "steps": 8})
            progress.on_epoch_begin(0)
            progress.on_train_batch_end(4, {"loss": 9.0})
            progress.on_epoch_begin(1)
            progress.on_train_batch_end(2, {"loss": 1.23456})
        written = terminal.getvalue()
    finally:
        console.cache_clear()
    *_, last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).rstrip().split("\r")
    assert re.fullmatch(r"epoch 2/3 ━+╺━+ 3/8 -:--:-- loss 1\.235", last), last
    assert written.endswith("\x1b[2K"), "the line of the bar is cleared"


def test_curves_are_written_where_tensorboard_finds_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = tmp_path / "new" / "curves"
    curves = tensorboard_callback(folder)
    assert folder.is_dir()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((1, 1)), np.ones((1, 1)), verbose=0, callbacks=[curves])
    curves.on_train_end()
    (written,) = (folder / "train").glob("events.out.tfevents.*")
    content = written.read_bytes()
    assert b"epoch_loss" in content
    assert b"keras.src" not in content, "the graph is large, and nobody looks at it"


def test_without_tensorboard_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("fer_train.training.progress.find_spec", lambda name: None if name == "tensorboard" else name)
    with pytest.raises(MissingExtra, match=r"TensorBoard.*\[tensorboard\]"):
        tensorboard_callback(tmp_path / "curves")
    assert not (tmp_path / "curves").exists()


# The number format that is quickest, on machines that are not here


@pytest.mark.parametrize(
    ("generations", "quickest"),
    [
        ([], "float32"),
        ([(8, 0)], "mixed_bfloat16"),
        ([(7, 5)], "float32"),
        ([(9, 0), (7, 5)], "float32"),
        ([(10, 0), (8, 6)], "mixed_bfloat16"),
    ],
)
def test_with_tensorflow_all_gpus_must_be_quick_with_bfloat16(
    monkeypatch: pytest.MonkeyPatch, generations: list[tuple[int, int]], quickest: str
) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: generations if kind == "GPU" else ["CPU"])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda found: {"compute_capability": found, "name": "GPU"}
    )
    assert parse_precision("auto") == quickest


def torch(*, gpu: bool, bfloat16: bool) -> Any:
    return SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: gpu, is_bf16_supported=lambda: bfloat16))


@pytest.mark.parametrize(
    ("gpu", "flags", "quickest"),
    [
        (None, "fpu avx512f", "float32"),
        (None, "fpu avx512_bf16", "mixed_bfloat16"),
        (None, "amx_bf16 amx_tile", "mixed_bfloat16"),
        (None, "asimd bf16", "mixed_bfloat16"),
        (None, None, "float32"),
        (True, "fpu", "mixed_bfloat16"),
        (False, "avx512_bf16", "float32"),
    ],
)
def test_with_pytorch_it_is_that_of_the_gpu_or_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: bool | None, flags: str | None, quickest: str
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    monkeypatch.setitem(sys.modules, "torch", torch(gpu=gpu is not None, bfloat16=bool(gpu)))
    if flags:
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    asked: list[str] = []

    def place(path: str) -> Path:
        asked.append(path)
        return tmp_path / "cpuinfo"

    monkeypatch.setattr("fer_train.training.precision.Path", place)
    assert parse_precision("auto") == quickest
    assert asked == ([] if gpu is not None else ["/proc/cpuinfo"])


def test_jax_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a question the workers of a training cannot meet any more."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: pytest.fail("no question"))
    assert parse_precision("auto") == "float32"


def test_an_unknown_precision_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_precision("float64")
    assert "precision 'float64' is unknown" in str(caught.value)
    assert "auto, float32, mixed_bfloat16 or mixed_float16" in str(caught.value)
