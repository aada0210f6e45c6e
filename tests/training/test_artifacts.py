"""What a training leaves: a model for each head, with a record of the data, the versions and the results."""

import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fer_edge import __version__
from fer_edge.errors import ConfigError
from fer_train.backend import load_keras
from fer_train.data.datasets import LABELS, LabelledFaces, Split
from fer_train.evaluation.metrics import accuracy_interval
from fer_train.recipes import Recipe

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import ARCHITECTURES, Architecture, build  # noqa: E402
from fer_train.architectures.parts import classify, grey_input  # noqa: E402
from fer_train.keras_models import load_model  # noqa: E402
from fer_train.training.artifacts import circumstances, describe_faces, refresh_batch_norm, save  # noqa: E402
from fer_train.training.batches import Batch, Batches, join  # noqa: E402
from fer_train.training.losses import add_heads  # noqa: E402

RECIPE = Recipe.model_validate({"architecture": "one-layer", "labels": "ferplus7", "also": {"ferplus8": 0.5}})
PARAMETERS = {"ferplus7": 36 * 7 + 7, "ferplus8": 36 * 8 + 8}


def one_layer(classes: int, dropout: float = 0.0) -> keras.Model:
    inputs, x = grey_input()
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(x))
    return classify(inputs, keras.layers.Dropout(dropout)(x), classes, "small_net")


def faces(count: int, split: Split) -> list[LabelledFaces]:
    """The same noise with both label sets."""
    images = np.random.default_rng(count).integers(0, 256, (count, 48, 48)).astype(np.uint8)
    classes, source = np.arange(count) % 7, Path("folder") / "made.csv"
    of_one = LabelledFaces(images, np.eye(7, dtype=np.float32)[classes], np.arange(count), "ferplus7", source, split)
    return [of_one, replace(of_one, targets=np.eye(8, dtype=np.float32)[classes], scheme="ferplus8")]


TRAIN, VALIDATION = faces(21, "train"), faces(14, "validation")


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> dict[Path, tuple[Any, ...]]:
    """What is given to the report of each folder, which nobody looks at here."""
    written: dict[Path, tuple[Any, ...]] = {}

    def note(folder: Path, *given: object, **named: object) -> None:
        written[folder] = (*given, named)

    monkeypatch.setitem(ARCHITECTURES, "one-layer", Architecture(one_layer, "made here"))
    monkeypatch.setattr("fer_train.training.artifacts.write_report", note)
    return written


@pytest.fixture
def models(reports: dict[Path, tuple[Any, ...]]) -> tuple[keras.Model, keras.Model]:  # noqa: ARG001 - names it
    """A classifier, and the same with its auxiliary head."""
    keras.utils.set_random_seed(0)
    trunk = build("one-layer", 7)
    return trunk, add_heads(trunk, RECIPE)


def test_a_split_is_known_by_its_file_its_size_and_its_content() -> None:
    found = TRAIN[0]
    assert describe_faces(found) == {"source": "made.csv", "images": 21, "fingerprint": found.fingerprint}


def test_the_record_tells_the_data_by_label_set_and_the_versions() -> None:
    parts = [*TRAIN, *VALIDATION, replace(TRAIN[0], scheme="fer2013")]
    assert circumstances(RECIPE, parts) == {
        "data": {
            scheme: {"train": describe_faces(TRAIN[place]), "validation": describe_faces(VALIDATION[place])}
            for place, scheme in enumerate(("ferplus7", "ferplus8"))
        },
        "versions": {
            "fer-edge": __version__,
            "keras": version("keras"),
            "backend": keras.backend.backend(),
            "numpy": version("numpy"),
            "opencv": cv2.__version__,
        },
    }


def test_each_head_is_a_model_in_a_folder_of_its_own(
    tmp_path: Path, models: tuple[keras.Model, keras.Model], reports: dict[Path, tuple[Any, ...]]
) -> None:
    trunk, model = models
    out, history = tmp_path / "above" / "run", tmp_path / "history.csv"
    record = {"seed": 3} | circumstances(RECIPE, [*TRAIN, *VALIDATION])
    found = save(trunk, model, record, VALIDATION, RECIPE, out, history)
    assert sorted(path.name for path in out.iterdir()) == ["ferplus8", "model.keras", "training.json"]
    assert all(map(np.array_equal, found.get_weights(), trunk.get_weights()))
    for part in VALIDATION:
        scheme = part.scheme
        folder = out if scheme == "ferplus7" else out / scheme
        saved = load_model(folder / "model.keras")
        head = model.get_layer("probabilities" if scheme == "ferplus7" else f"probabilities_{scheme}")
        assert all(map(np.array_equal, saved.layers[-1].get_weights(), head.get_weights()))
        text = (folder / "training.json").read_text()
        told = json.loads(text)
        assert text == json.dumps(told, indent=2) + "\n"
        results = told.pop("results")
        assert told == {
            "scheme": scheme,
            "labels": list(LABELS[scheme]),
            "seed": 3,
            "data": record["data"][scheme],
            "versions": record["versions"],
            "architecture": "small_net",
            "parameters": PARAMETERS[scheme],
            "macs": 36 * len(LABELS[scheme]),
        }
        kernel, bias = saved.layers[-1].get_weights()
        powers = np.exp(part.images.reshape(14, 6, 8, 6, 8).mean((2, 4)).reshape(14, 36) / 255 @ kernel + bias)
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        right = probabilities.argmax(axis=1) == part.classes
        assert list(results) == ["validation"]
        assert results["validation"]["images"] == 14
        assert results["validation"]["accuracy"] == pytest.approx(right.mean(), abs=1e-4)
        assert results["validation"]["interval"] == pytest.approx(accuracy_interval(right), abs=1e-4)
        given, judged, title, named = reports[folder]
        assert given == pytest.approx(probabilities, abs=1e-5)
        assert judged is part
        assert title == f"small_net, {scheme}"
        assert named["history"] == history
        assert named["record"]["parameters"] == PARAMETERS[scheme]
        assert named["record"]["seed"] == 3


def test_a_model_is_written_if_the_disk_has_room_for_four_bytes_per_parameter(
    tmp_path: Path,
    models: tuple[keras.Model, keras.Model],
    reports: dict[Path, tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, usage = tmp_path / "run", type(shutil.disk_usage(tmp_path))
    alone = RECIPE.model_copy(update={"also": {}})
    record, room = circumstances(alone, VALIDATION[:1]), 1_000_000 + int(4.4 * PARAMETERS["ferplus7"]) + 1
    for free in (room - 2, room):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(10**12, 10**12 - free, free))
        if free < room:
            with pytest.raises(ConfigError, match="1 MB are needed"):
                save(*models, record, VALIDATION[:1], alone, out)
            assert not (out / "model.keras").exists()
        else:
            save(*models, record, VALIDATION[:1], alone, out)
            assert (out / "model.keras").is_file()
    assert list(reports) == [out]


def test_there_is_no_model_without_its_record(
    tmp_path: Path, models: tuple[keras.Model, keras.Model], reports: dict[Path, tuple[Any, ...]]
) -> None:
    out = tmp_path / "run"
    (out / "training.json").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"training\.json: cannot be written \(Is a directory\)"):
        save(*models, circumstances(RECIPE, VALIDATION), VALIDATION, RECIPE, out)
    assert not (out / "model.keras").exists()
    assert list(reports) == [out]


class Noted(Batches):
    """Batches that note which of them are asked for: epoch and place."""

    def __init__(self, examples: Any, recipe: Recipe) -> None:
        self.asked: list[tuple[int, int]] = []
        super().__init__(examples, recipe)

    def __getitem__(self, index: int) -> Batch:
        self.asked.append((self._epoch, index))
        return super().__getitem__(index)


@pytest.mark.parametrize(("full", "places"), [(2, 2), (1, 1), (0, 1)])
def test_statistics_are_measured_on_fifty_whole_batches_from_the_last_epoch_on(full: int, places: int) -> None:
    batches = Noted(join(TRAIN), RECIPE.model_copy(update={"epochs": 9, "batch_size": 10}))
    norm = keras.layers.BatchNormalization(momentum=0.5)
    refresh_batch_norm(keras.Sequential([keras.Input((48, 48, 1)), norm]), batches, full)
    assert batches.asked == [(8 + step // places, step % places) for step in range(50)]
    assert 100 < norm.moving_mean.numpy()[0] < 156
    assert norm.moving_variance.numpy()[0] > 1000
