"""The progress of a training in a terminal."""

import logging
import re
import sys
from pathlib import Path

import pytest
from tests.screen import run_in_terminal

from fer_edge.errors import ConfigError
from fer_train.backend import load_keras

load_keras()

from fer_train.training.precision import parse_precision  # noqa: E402 - Keras is quiet only when it is loaded so
from fer_train.training.progress import EpochProgress  # noqa: E402

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
