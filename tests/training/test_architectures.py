"""Every named network can be built, trained for an epoch in the table's order, and says its size."""

import json
from pathlib import Path

import pytest
from tests.conftest import Run

from fer_train.backend import load_keras

load_keras()

from fer_train.architectures import ARCHITECTURES, build, count_macs  # noqa: E402 - after Keras


def test_the_table_names_them_all(command: Run) -> None:
    done = command("fer-train", "architectures")
    assert done.returncode == 0, done.stderr
    assert all(f" {name} " in done.stdout for name in ARCHITECTURES)


@pytest.mark.parametrize(("name", "largest"), [("edge", 60e6), ("edge-tiny", 8e6)])
def test_those_for_boards_keep_to_their_budget(name: str, largest: float) -> None:
    assert count_macs(build(name, 8)) <= largest


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in {"edge", "cnn-small"}])
def test_each_learns_is_saved_alone_and_becomes_a_bundle(
    command: Run, tiny_data: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "run"
    options = ("--recipe", "adam-50", "--architecture", name, "--epochs", 1, "--set", "also={ferplus8=1}")
    done = command("fer-train", "fit", "--data", tiny_data, *options, "--out", out, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "training.json").read_text())["recipe"]["architecture"] == name
    assert (out / "ferplus8" / "model.keras").is_file()
    done = command("fer-quantize", out, "--data", tiny_data, "--labels", "ferplus7", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "bundle" / "model.tflite").is_file()
