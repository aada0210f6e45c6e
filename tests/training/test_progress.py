"""The progress of a training in a terminal."""

import sys
from pathlib import Path

import pytest
from tests.screen import run_in_terminal

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
