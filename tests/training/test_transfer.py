"""Trainings that start from another's weights."""

from pathlib import Path

import numpy as np
from tests.conftest import Run

from fer_train.backend import load_keras

load_keras()

from fer_train.keras_models import load_model  # noqa: E402 - Keras is quiet only when it is loaded first


def test_a_second_training_starts_with_all_heads_of_the_first(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    shared = ["--data", tiny_data, "--recipe", "adam-50", "--architecture", "mini-xception", "--labels", "ferplus7"]
    shared += ["--set", "also={ferplus8=0.5}", "--epochs", 1]
    first, second = tmp_path / "first", tmp_path / "second"
    done = command("fer-train", "fit", *shared, "--out", first, timeout=300)
    assert done.returncode == 0, done.stderr
    start = ("--init", first, "--learning-rate", 1e-30)
    done = command("fer-train", "fit", *shared, *start, "--out", second, timeout=300)
    assert done.returncode == 0, done.stderr
    heads = [load_model(run / "ferplus8" / "model.keras").layers[-1].get_weights() for run in (first, second)]
    for one, other in zip(*heads, strict=True):
        assert np.array_equal(one, other)
