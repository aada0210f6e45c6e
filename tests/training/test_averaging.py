"""The mean of several trainings' weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.model.bundle import sha256
from fer_train.backend import load_keras

load_keras()

from fer_train.keras_models import load_model  # noqa: E402 - Keras is quiet only when it is loaded first

RECIPE = ("--recipe", "adam-50", "--labels", "ferplus7", "--set", "also={ferplus8=0.5}", "--epochs", 1)


@pytest.mark.slow
def test_two_trainings_become_one_model_with_all_heads(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    shared = ("--data", tiny_data, *RECIPE, "--architecture", "edge-tiny")
    first, second, mean = tmp_path / "first", tmp_path / "second", tmp_path / "mean"
    done = command("fer-train", "fit", *shared, "--out", first, timeout=300)
    assert done.returncode == 0, done.stderr
    done = command("fer-train", "fit", *shared, "--init", first, "--out", second, timeout=300)
    assert done.returncode == 0, done.stderr
    done = command("fer-train", "average", first, second, "--data", tiny_data, "--out", mean, timeout=300)
    assert done.returncode == 0, done.stderr
    for head in ("", "ferplus8"):
        one, other, averaged = (load_model(run / head / "model.keras") for run in (first, second, mean))
        for a, b, c in zip(
            one.trainable_variables, other.trainable_variables, averaged.trainable_variables, strict=True
        ):
            assert np.allclose((a + b) / 2, c, atol=1e-6)
        record = json.loads((mean / head / "training.json").read_text())
        assert record["scheme"] == (head or "ferplus7")
        assert record["averaged"] == ["first", "second"]
        assert record["trainings"][1]["init"]["sha256"] == sha256((first / "model.keras").read_bytes())
    single = tmp_path / "single"
    done = command("fer-train", "fit", *shared, "--set", "also={}", "--init", first, "--out", single, timeout=300)
    assert done.returncode == 0, done.stderr
    done = command("fer-train", "average", first, single, "--data", tiny_data, "--out", tmp_path / "main", timeout=300)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "main" / "ferplus8").exists()
    again = command("fer-train", "average", first, second, "--data", tiny_data, "--out", mean)
    assert again.returncode == 2
    alone = command("fer-train", "average", first, "--data", tiny_data, "--out", tmp_path / "no")
    assert alone.returncode == 2
    assert "Name two or more" in alone.stderr
    twice = command("fer-train", "average", first, first, "--data", tiny_data, "--out", tmp_path / "no")
    assert twice.returncode == 2
    assert "named twice" in twice.stderr
    bare = command("fer-train", "average", first, tmp_path, "--data", tiny_data, "--out", tmp_path / "no")
    assert bare.returncode == 2
    assert "no training record holds its recipe" in bare.stderr
    record = json.loads((second / "training.json").read_text())
    record["recipe"]["architecture"] = "mobile"
    (second / "training.json").write_text(json.dumps(record))
    strange = command("fer-train", "average", first, second, "--data", tiny_data, "--out", tmp_path / "no")
    assert strange.returncode == 2
    assert "is a mobile on ferplus7" in strange.stderr
    assert not (tmp_path / "no").exists()
