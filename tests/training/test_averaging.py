"""The mean of several trainings' weights."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.errors import ModelError
from fer_edge.model.bundle import sha256
from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces, Split
from fer_train.recipes import Recipe

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import ARCHITECTURES, Architecture  # noqa: E402
from fer_train.architectures.parts import classify, grey_input  # noqa: E402
from fer_train.keras_models import load_model  # noqa: E402
from fer_train.training.averaging import average  # noqa: E402

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


# In this process, on networks of one layer that nobody has trained

STILL = dict.fromkeys(
    ("rotate_degrees", "scale", "shift", "contrast", "brightness", "soften", "erase", "noise", "compress"), 0
)
TRAINED = Recipe(
    architecture="normed", labels="ferplus7", also={"fer2013": 0.5}, batch_size=4, seed=5, dropout=0, augmentation=STILL
)


def normed(classes: int, dropout: float = 0.5, channels: int = 1) -> keras.Model:
    inputs, x = grey_input()
    x = keras.layers.Dropout(dropout)(keras.layers.Concatenate()([keras.layers.AveragePooling2D(8)(x)] * channels))
    x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    return classify(inputs, keras.layers.Flatten()(x), classes, "normed")


def faces(count: int, split: Split) -> list[LabelledFaces]:
    """The same dark noise with both label sets."""
    rng = np.random.default_rng(count)
    images = rng.integers(0, 64, (count, 48, 48)).astype(np.uint8)
    targets = np.eye(7, dtype=np.float32)[np.arange(count) % 7]
    of_one = LabelledFaces(images, targets, np.arange(count), "ferplus7", Path("made.csv"), split)
    return [of_one, replace(of_one, scheme="fer2013")]


TRAIN, VALIDATION = faces(10, "train"), faces(14, "validation")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """The folders of two trainings with two heads each; nobody looks at the pictures of the report."""
    folder = tmp_path_factory.mktemp("trainings")
    made = [folder / "first", folder / "second"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "normed", Architecture(normed, "made here"))
        patch.setattr("fer_train.training.artifacts.write_report", lambda *_, **__: None)
        for seed, run in enumerate(made):
            keras.utils.set_random_seed(seed)
            for head in ("", "fer2013"):
                (run / head).mkdir(parents=True)
                trained = normed(7)
                trained.set_weights([weight + seed + 0.1 for weight in trained.get_weights()])
                trained.save(run / head / "model.keras")
            record = {"scheme": "ferplus7", "recipe": {"seed": seed}, "precision": f"float{seed}", "teachers": [seed]}
            (run / "training.json").write_text(json.dumps(record | {"init": {"model": seed}, "began": seed}))
        yield made


def test_the_mean_has_the_mean_weights_and_the_statistics_of_the_training_faces(
    runs: list[Path], tmp_path: Path
) -> None:
    model = average(runs, TRAINED, TRAIN, VALIDATION, tmp_path / "mean")
    for head in ("", "fer2013"):
        one, other, found = (load_model(run / head / "model.keras") for run in (*runs, tmp_path / "mean"))
        first = -2 if head else 0  # an auxiliary head stands on the trunk of the main labels
        for a, b, c in zip(
            one.trainable_variables[first:],
            other.trainable_variables[first:],
            found.trainable_variables[first:],
            strict=True,
        ):
            assert np.allclose((a + b) / 2, c, atol=1e-6)
            assert not np.allclose(a, b, atol=0.1), "there is something to average"
        if not head:
            assert all(map(np.array_equal, model.get_weights(), found.get_weights())), "it is returned"
    # Fifty batches leave little of the statistics before: a mean of 0.6, and a variance of 1.6.
    _, _, level, variance = model.get_layer("norm").get_weights()
    levels, old = TRAIN[0].images.reshape(10, 6, 8, 6, 8).mean((2, 4)) / 255, 0.9**50
    assert level == pytest.approx(old * 0.6 + (1 - old) * levels.mean(), rel=0.01)
    assert variance == pytest.approx(old * 1.6 + (1 - old) * levels.var(), rel=0.05)


def test_the_record_says_what_was_averaged(runs: list[Path], tmp_path: Path) -> None:
    out, link = tmp_path / "mean", tmp_path / "link"
    link.symlink_to(runs[1])
    average([runs[0], link], TRAINED, TRAIN, VALIDATION, out)
    for head, scheme in (("", "ferplus7"), ("fer2013", "fer2013")):
        found = json.loads((out / head / "training.json").read_text())
        assert (found["scheme"], found["recipe"]) == (scheme, TRAINED.model_dump(mode="json"))
        assert found["averaged"] == ["first", "second"], "by the names of their folders"
        for seed, (run, origin) in enumerate(zip(runs, found["trainings"], strict=True)):
            heads = {each["model"]: each["sha256"] for each in origin.pop("heads")}
            name = "link" if seed else "first"
            assert heads[f"{name}/model.keras"] == sha256((run / "model.keras").read_bytes())
            assert origin.pop("recipe") == {"seed": seed}
            assert origin == {"precision": f"float{seed}", "teachers": [seed], "init": {"model": seed}}
        assert {split: data["images"] for split, data in found["data"].items()} == {"train": 10, "validation": 14}
        assert found["results"]["validation"]["images"] == 14


@pytest.mark.parametrize("head", ["", "fer2013"])
def test_a_training_of_another_network_is_named(runs: list[Path], tmp_path: Path, head: str) -> None:
    copies = [Path(shutil.copytree(run, tmp_path / run.name)) for run in runs]
    normed(7, channels=2).save(copies[1] / head / "model.keras")
    with pytest.raises(ModelError) as refused:
        average(copies, TRAINED, TRAIN, VALIDATION, tmp_path / "mean")
    assert str(refused.value) == f"{copies[1]}: its network does not fit its recipe. Train it again"
    assert not (tmp_path / "mean").exists()
