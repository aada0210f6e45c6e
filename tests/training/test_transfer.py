"""Trainings that start from another's weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.model.bundle import find_bundle
from fer_train.backend import load_keras

load_keras()

from fer_train.data.datasets import Split, load_dataset  # noqa: E402 - Keras is quiet only when it is loaded first
from fer_train.keras_models import load_model  # noqa: E402
from fer_train.recipes import load_recipe  # noqa: E402
from fer_train.training.fit import fit  # noqa: E402

TINY = "ferplus7-tiny"
START = ("--init", TINY, "--architecture", "edge-tiny")


@pytest.mark.slow
def test_a_second_training_starts_with_all_heads_of_the_first(
    command: Run, tiny_data: Path, two_heads: Path, tmp_path: Path
) -> None:
    shared = ["--data", tiny_data, "--recipe", "adam-50", "--architecture", "cnn-small", "--labels", "ferplus7"]
    shared += ["--set", "also={ferplus8=0.5}", "--epochs", 1]
    first, second = two_heads, tmp_path / "second"
    start = ("--init", first, "--learning-rate", 1e-30)
    done = command("fer-train", "fit", *shared, *start, "--out", second, timeout=300)
    assert done.returncode == 0, done.stderr
    heads = [load_model(run / "ferplus8" / "model.keras").layers[-1].get_weights() for run in (first, second)]
    for one, other in zip(*heads, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_a_training_that_only_gets_worse_keeps_its_first_weights(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    """A shipped model, by its name, trained at a rate that ruins it."""
    out = tmp_path / "harm"
    options = ("--data", tiny_data, "--labels", "ferplus7", "--recipe", "photographs", *START)
    short = ("--epochs", 1, "--set", "warmup_epochs=0", "--set", "start_share=0", "--learning-rate", 3)
    done = command("fer-train", "fit", *options, *short, "--out", out, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "kept the starting weights: nothing was gained" in done.stdout
    gain = json.loads((out / "training.json").read_text())["gain"]
    assert gain["kept_start"]
    assert gain["after"] < gain["before"]
    assert gain["images"] == 70
    assert f"{gain['before']:.1%} before, {gain['after']:.1%} after" in done.stdout
    kept, start = (load_model(folder / "model.keras").get_weights() for folder in (out, find_bundle(TINY)))
    for one, other in zip(kept, start, strict=True):
        assert np.array_equal(one, other)


RECIPES: dict[str, dict[str, float]] = {"free": {}, "held": {"stay_close": 300.0}, "mean": {"start_share": 0.75}}


@pytest.mark.slow
def test_the_saved_model_is_pulled_back_to_its_start_as_the_recipe_says(
    tiny_data: Path, bundle_dir: Path, tmp_path: Path
) -> None:
    """The same steps three times: as they are, held near the start, averaged with it. Other labels make all gain."""
    start = bundle_dir / "model.keras"
    train, validation = (
        replace(faces, targets=np.roll(faces.targets, 1, axis=1))
        for faces in (load_dataset(tiny_data, split, "ferplus7") for split in get_args(Split)[:2])
    )
    train = train.take(np.arange(64))
    values = ["start_share=0", "epochs=1", "ema=0", "warmup_epochs=0", "batch_size=8"]
    recipe = load_recipe("photographs", values, labels="ferplus7")
    before = load_model(start).get_layer("stem1_conv").get_weights()[0]
    distances = {}
    for name, changes in RECIPES.items():
        out = tmp_path / name
        trained = fit([train], [validation], recipe.model_copy(update=changes), out, init=start)
        assert trained is not None
        assert not json.loads((out / "training.json").read_text())["gain"]["kept_start"], "nothing to compare"
        distances[name] = float(np.linalg.norm(trained.get_layer("stem1_conv").get_weights()[0] - before))
    assert 0 < distances["held"] < 0.8 * distances["free"]
    assert distances["mean"] == pytest.approx(0.25 * distances["free"], rel=1e-3)
