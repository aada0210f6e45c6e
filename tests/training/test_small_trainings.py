"""Whole trainings of a network of one layer, in this process: what is watched, kept, taught and gone on with."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces, Split

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import ARCHITECTURES, Architecture  # noqa: E402
from fer_train.architectures.parts import HEAD, classify, grey_input  # noqa: E402
from fer_train.keras_models import load_model, predict  # noqa: E402
from fer_train.recipes import Recipe  # noqa: E402
from fer_train.training.averaging import average  # noqa: E402
from fer_train.training.batches import Batches  # noqa: E402
from fer_train.training.fit import fit  # noqa: E402

STILL: dict[str, Any] = {
    "rotate_degrees": 0, "scale": 0, "shift": 0, "contrast": 0, "brightness": 0, "soften": 0, "erase": 0,
    "noise": 0, "compress": 0, "mirror": False,
}  # fmt: skip
PLAIN: dict[str, Any] = {
    "architecture": "one-layer", "labels": "ferplus7", "epochs": 3, "batch_size": 16, "optimizer": "adam",
    "learning_rate": 0.02, "schedule": "constant", "weight_decay": 0, "ema": 0, "augmentation": STILL,
}  # fmt: skip


def one_layer(classes: int, dropout: float = 0.0, *, normed: bool = False) -> keras.Model:
    inputs, x = grey_input()
    x = keras.layers.AveragePooling2D(8)(x)
    if normed:
        x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    return classify(inputs, keras.layers.Dropout(dropout)(keras.layers.Flatten()(x)), classes, "one_layer")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small networks have names; nobody looks at the pictures of the report."""
    monkeypatch.setitem(ARCHITECTURES, "one-layer", Architecture(one_layer, "made here"))
    normed = Architecture(lambda classes, dropout=0.0: one_layer(classes, dropout, normed=True), "made here")
    monkeypatch.setitem(ARCHITECTURES, "normed", normed)
    monkeypatch.setattr("fer_train.training.artifacts.write_report", lambda *_, **__: None)


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(PLAIN | changes)


def faces(count: int, split: Split, wrong: int = 0, turn: int = 0) -> LabelledFaces:
    """Each class has a bright place of its own; the first `wrong` have the label of the next class."""
    rng = np.random.default_rng(count)
    classes = np.arange(count) % 7
    images = rng.integers(0, 120, (count, 48, 48)).astype(np.uint8)
    for image, label in zip(images, classes, strict=True):
        image[16 * (label // 3) : 16 * (label // 3) + 16, 16 * (label % 3) : 16 * (label % 3) + 16] += 100
    labels = (classes + turn + (np.arange(count) < wrong)) % 7
    targets = np.eye(7, dtype=np.float32)[labels]
    return LabelledFaces(images, targets, np.arange(count), "ferplus7", Path("made.csv"), split)


TRAIN, VALIDATION = faces(112, "train"), faces(70, "validation", wrong=21)


def in_two_schemes(found: LabelledFaces) -> list[LabelledFaces]:
    return [found, replace(found, scheme="fer2013")]


def rows(out: Path) -> list[dict[str, float]]:
    with (out / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def record(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "training.json").read_text()))


def weights(out: Path) -> list[npt.NDArray[np.float32]]:
    return list(load_model(out / "model.keras").get_weights())


def same(one: list[npt.NDArray[np.float32]], other: list[npt.NDArray[np.float32]], within: float = 0) -> bool:
    return all(np.allclose(a, b, rtol=0, atol=within) for a, b in zip(one, other, strict=True))


def log_loss(probabilities: npt.NDArray[np.float32], targets: npt.NDArray[np.float32]) -> float:
    return float(-(targets * np.log(probabilities + 1e-7)).sum(axis=1).mean())


# What is watched and saved


def test_the_last_figures_are_those_of_the_saved_model_on_the_validation_faces(tmp_path: Path) -> None:
    """That model is an average of the weights: it is this that is validated."""
    out = tmp_path / "run"
    fit([TRAIN], [VALIDATION], recipe(ema=0.5, epochs=6), out)
    last, told = rows(out)[-1], record(out)
    probabilities = predict(load_model(out / "model.keras"), VALIDATION.images)
    accuracy = (probabilities.argmax(axis=1) == VALIDATION.classes).mean()
    assert 0.4 < accuracy < 0.75
    assert last["val_accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert last["val_loss"] == pytest.approx(log_loss(probabilities, VALIDATION.targets), abs=1e-4)
    assert last["accuracy"] > accuracy + 0.05
    assert told["results"]["validation"]["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert {split: part["fingerprint"] for split, part in told["data"].items()} == {
        "train": TRAIN.fingerprint,
        "validation": VALIDATION.fingerprint,
    }
    assert (told["init"], told["gain"], told["teachers"], told["precision"]) == (None, None, [], "float32")
    assert not (out / "unfinished").exists()


def test_the_best_epoch_is_kept_where_the_recipe_says_so(tmp_path: Path) -> None:
    """The validation labels contradict those that are learnt. The averages are kept, since these are validated."""
    contrary, out = faces(700, "validation", turn=1), tmp_path / "run"
    fit([TRAIN], [contrary], recipe(keep="best", epochs=5, ema=0.6), out)
    accuracies = [row["val_accuracy"] for row in rows(out)]
    assert max(accuracies) > accuracies[-1] + 0.01, "nothing to tell them apart by"
    assert record(out)["results"]["validation"]["accuracy"] == pytest.approx(max(accuracies), abs=1e-4)


def test_batch_norms_of_averaged_weights_are_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    fit([TRAIN], [VALIDATION], recipe(architecture="normed", ema=0.5, epochs=1), out)
    model = load_model(out / "model.keras")
    before = keras.Model(model.input, model.get_layer("norm").input)
    seen = np.asarray(before.predict(TRAIN.images[..., None], verbose=0))
    assert model.get_layer("norm").moving_mean.numpy() == pytest.approx(seen.mean(), rel=0.03)


def test_a_seed_gives_the_same_weights_each_time_and_another_gives_others(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        fit([TRAIN], [VALIDATION], recipe(seed=seed, epochs=1, dropout=0.3), tmp_path / name)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"), 1e-6)
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"), 0.01)


class Watcher(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps how the training computes."""

    def on_train_begin(self, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        self.policy = keras.config.dtype_policy().name
        self.layer = self.model.layers[-2].compute_dtype
        self.steps = self.model.steps_per_execution
        self.dropout = [layer.rate for layer in self.model.layers if isinstance(layer, keras.layers.Dropout)]


def test_a_training_computes_as_it_is_told_and_saves_float32(tmp_path: Path) -> None:
    watcher, out = Watcher(), tmp_path / "run"
    options: dict[str, Any] = {"precision": "mixed_bfloat16", "steps_per_execution": 2, "callbacks": [watcher]}
    fit([TRAIN], [VALIDATION], recipe(epochs=1, dropout=0.25), out, **options)
    assert (watcher.policy, watcher.layer, watcher.steps) == ("mixed_bfloat16", "bfloat16", 2)
    assert watcher.dropout == [0.25]
    assert (record(out)["precision"], keras.config.dtype_policy().name) == ("mixed_bfloat16", "float32")
    assert {layer.compute_dtype for layer in load_model(out / "model.keras").layers} == {"float32"}


def test_a_loss_that_does_not_fall_lowers_the_rate_and_ends_the_training(tmp_path: Path) -> None:
    plateau = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.5, "stop_patience": 4}
    fit([TRAIN], [VALIDATION], recipe(learning_rate=1e-30, epochs=9, **plateau), tmp_path / "run")
    rates = [row["learning_rate"] for row in rows(tmp_path / "run")]
    assert rates == pytest.approx([1e-30, 1e-30, 0.5e-30, 0.25e-30, 0.125e-30], rel=1e-6, abs=0)


class Interrupted(keras.callbacks.Callback):  # type: ignore[misc]
    """Ctrl-C in the middle of the third epoch."""

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        if self.model.optimizer.iterations > 7 * 2 + 3:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    epochs: list[int] = []
    start_epoch = Batches.start_epoch

    def watched(batches: Batches, epoch: int) -> None:
        epochs.append(epoch)
        start_epoch(batches, epoch)

    monkeypatch.setattr(Batches, "start_epoch", watched)
    varied = recipe(
        epochs=4,
        mixup=0.3,
        ema=0.5,
        schedule="cosine",
        warmup_epochs=1,
        augmentation=STILL | {"noise": 0.5},
    )
    fit([TRAIN], [VALIDATION], varied, whole)
    assert epochs[:5] == [0, 0, 1, 2, 3], "each epoch has an order of its own"
    with pytest.raises(KeyboardInterrupt):
        fit([TRAIN], [VALIDATION], varied, cut, callbacks=[Interrupted()])
    assert not (cut / "model.keras").exists()
    fit([TRAIN], [VALIDATION], varied, cut, resume=True)
    assert len(rows(cut)) == 4
    for row, expected in zip(rows(cut), rows(whole), strict=True):
        assert row | {"seconds": 0} == pytest.approx(expected | {"seconds": 0}, rel=1e-3)
    assert same(weights(cut), weights(whole), 1e-4)


# Teachers


def teacher(folder: Path, seed: int) -> Path:
    keras.utils.set_random_seed(seed)
    model = one_layer(7)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([10 * kernel, bias])
    folder.mkdir()
    model.save(folder / "model.keras")
    (folder / "training.json").write_text('{"scheme": "ferplus7"}')
    return folder


def test_a_student_is_compared_with_its_teachers_at_the_temperature(tmp_path: Path) -> None:
    """They read the mirror image too. The loss of the teachers counts T² times its share."""
    teachers, out = [teacher(tmp_path / name, seed) for seed, name in enumerate(("one", "other"))], tmp_path / "run"
    student = recipe(temperature=4, soft_share=0.25, epochs=1)
    fit([TRAIN], [VALIDATION], student, out, teachers=teachers)
    models, images = [load_model(each / "model.keras") for each in teachers], VALIDATION.images
    views = [images, np.ascontiguousarray(images[:, :, ::-1])]
    said = np.mean([predict(model, view) for model in models for view in views], axis=0)
    soft = said**0.25 / (said**0.25).sum(axis=1, keepdims=True)
    answers = predict(load_model(out / "model.keras"), images)
    tempered = answers**0.25 / (answers**0.25).sum(axis=1, keepdims=True)
    (row,) = rows(out)
    hard = log_loss(answers, VALIDATION.targets)
    assert row["val_ferplus7_loss"] == pytest.approx(hard, rel=1e-3)
    assert row["val_soft_loss"] == pytest.approx(log_loss(tempered, soft), rel=1e-3)
    assert row["val_loss"] == pytest.approx((0.75 * hard + 4 * row["val_soft_loss"]) / 4.75, rel=1e-3)
    assert [each["model"] for each in record(out)["teachers"]] == ["one/model.keras", "other/model.keras"]


# What starts from another model


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A network that knows nothing."""
    keras.utils.set_random_seed(9)
    one_layer(7, normed=True).save(tmp_path / "start.keras")
    return tmp_path / "start.keras"


def test_a_training_is_pulled_back_to_its_start_as_the_recipe_says(tmp_path: Path, start: Path) -> None:
    before, after = load_model(start).layers[-1].get_weights()[0], {}
    for name, changes in {"free": {}, "mean": {"start_share": 0.75}, "held": {"stay_close": 100.0}}.items():
        trained = fit([TRAIN], [VALIDATION], recipe(architecture="normed", **changes), tmp_path / name, init=start)
        assert trained is not None
        assert not record(tmp_path / name)["gain"]["kept_start"], "nothing to compare"
        after[name] = trained.layers[-1].get_weights()[0]
    assert after["mean"] == pytest.approx(0.75 * before + 0.25 * after["free"], abs=1e-5)
    distance = {name: float(np.linalg.norm(kernel - before)) for name, kernel in after.items()}
    assert 0 < distance["held"] < 0.5 * distance["free"]
    gain = record(tmp_path / "free")["gain"]
    answers = predict(load_model(start), VALIDATION.images)
    assert gain["before"] == pytest.approx((answers.argmax(axis=1) == VALIDATION.classes).mean(), abs=1e-4)
    assert gain["after"] == record(tmp_path / "free")["results"]["validation"]["accuracy"]


def test_frozen_layers_stay_as_they_were_whatever_is_averaged(tmp_path: Path, start: Path) -> None:
    out = tmp_path / "run"
    fit([TRAIN], [VALIDATION], recipe(architecture="normed", ema=0.5), out, init=start, freeze=["trunk"])
    first, last = load_model(start), load_model(out / "model.keras")
    assert same(last.get_layer("norm").get_weights(), first.get_layer("norm").get_weights())
    assert not same(last.get_layer(HEAD).get_weights(), first.get_layer(HEAD).get_weights(), 0.01)
    told = record(out)["init"]
    assert (told["model"], told["freeze"], len(told["sha256"])) == ("start.keras", ["trunk"], 64)


def by_look(model: keras.Model) -> keras.Model:
    """Make a network always answer the first class."""
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([0 * kernel, np.eye(7, dtype=np.float32)[0] + bias])
    return model


def test_a_training_for_rare_classes_is_judged_by_their_recall(tmp_path: Path) -> None:
    """It reads what faces look like. Of eight faces of the first class three look like the second, as two others do."""
    by_look(one_layer(7)).save(tmp_path / "start.keras")
    chosen = faces(140, "validation").take(np.array([*range(0, 35, 7), *range(1, 36, 7)]))
    targets = np.eye(7, dtype=np.float32)[[0] * 8 + [1] * 2]
    judged = replace(chosen, targets=targets)
    out = tmp_path / "run"
    fit(
        [TRAIN],
        [judged],
        recipe(imbalance="balanced_sampling", epochs=5, learning_rate=0.1),
        out,
        init=tmp_path / "start.keras",
    )
    gain = record(out)["gain"]
    assert (gain["before"], gain["after"]) == (0.8, 0.7)
    assert not gain["kept_start"]


def test_auxiliary_heads_start_with_their_own_weights(tmp_path: Path) -> None:
    both = recipe(also={"fer2013": 0.5})
    first, second = tmp_path / "first", tmp_path / "second"
    fit(in_two_schemes(TRAIN), in_two_schemes(VALIDATION), both, first)
    idle = both.model_copy(update={"learning_rate": 1e-30, "epochs": 1})
    fit(in_two_schemes(TRAIN), in_two_schemes(VALIDATION), idle, second, init=first / "model.keras")
    for head in ("", "fer2013"):
        assert same(weights(first / head), weights(second / head), 1e-6)
    assert not same(weights(first), weights(first / "fer2013"), 0.001)


# The mean of trainings


@pytest.mark.slow
def test_the_mean_of_trainings_has_the_mean_of_all_weights(tmp_path: Path) -> None:
    both = recipe(architecture="normed", also={"fer2013": 0.5}, epochs=1)
    runs, out = [tmp_path / "first", tmp_path / "second"], tmp_path / "mean"
    for seed, run in enumerate(runs):
        fit(in_two_schemes(TRAIN), in_two_schemes(VALIDATION), both.model_copy(update={"seed": seed}), run)
    average(runs, both, in_two_schemes(TRAIN), in_two_schemes(VALIDATION), out)
    for head in ("", "fer2013"):
        one, other, mean = (load_model(run / head / "model.keras") for run in (*runs, out))
        for a, b, c in zip(one.trainable_variables, other.trainable_variables, mean.trainable_variables, strict=True):
            assert np.allclose((a + b) / 2, c, atol=1e-6)
        told = record(out / head)
        assert (told["scheme"], told["averaged"]) == (head or "ferplus7", ["first", "second"])
        assert told["results"]["validation"]["images"] == 70
    seen = keras.Model(mean.input, mean.get_layer("norm").input).predict(TRAIN.images[..., None], verbose=0)
    assert mean.get_layer("norm").moving_mean.numpy() == pytest.approx(np.mean(seen), rel=0.03), "measured again"
