"""The optimizer of a training, and what happens between its epochs: the history, checkpoints and the best weights."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_edge.errors import ConfigError
from fer_train.backend import load_keras
from fer_train.recipes import Recipe

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.training.batches import Batches, Examples  # noqa: E402
from fer_train.training.callbacks import (  # noqa: E402
    Checkpoint,
    History,
    KeepBest,
    StartEpoch,
    epochs_done,
    has_stopped,
    load_weights,
    restore,
)
from fer_train.training.optimizer import create_variables, make_optimizer  # noqa: E402


def net(optimizer: Any = None) -> Any:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(0.25, momentum=0.5), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def fill(model: Any, value: float) -> None:
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])


def values(model: Any) -> set[float]:
    return {float(value) for weight in model.get_weights() for value in weight.ravel()}


# The optimizer


def moved_by(optimizer: Any, gradient: float) -> tuple[float, float]:
    """Where a kernel and a bias of 1 are after a step with gradients of one number each."""
    kernel, bias = (keras.Variable(np.ones(shape, np.float32)) for shape in ((1, 1), (1,)))
    optimizer.apply([np.full(weight.shape, gradient, np.float32) for weight in (kernel, bias)], [kernel, bias])
    return float(np.squeeze(kernel)), float(np.squeeze(bias))


def rates(recipe: Recipe, steps: int, at: list[int]) -> list[float]:
    optimizer = make_optimizer(recipe, steps, net())
    said = []
    for step in at:
        optimizer.iterations.assign(step)
        said.append(float(optimizer.learning_rate))
    return said


def test_the_rate_rises_for_the_warm_up_and_falls_to_zero_at_the_last_step() -> None:
    recipe = Recipe(epochs=10, learning_rate=0.5, warmup_epochs=1)
    assert rates(recipe, 20, [0, 10, 20, 110, 200]) == pytest.approx([0.025, 0.2625, 0.5, 0.25, 0], abs=1e-6)
    assert rates(recipe.model_copy(update={"warmup_epochs": 0}), 20, [0, 100, 200]) == pytest.approx([0.5, 0.25, 0])
    all_warm = recipe.model_copy(update={"epochs": 1})
    assert rates(all_warm, 20, [10, 20]) == pytest.approx([0.2625, 0.5])


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_other_schedules_begin_with_the_rate_of_the_recipe(schedule: str) -> None:
    recipe = Recipe.model_validate({"learning_rate": 0.5, "schedule": schedule, "epochs": 10})
    assert rates(recipe, 20, [0, 150]) == [0.5, 0.5]


def plain(**options: object) -> Recipe:
    still = {"learning_rate": 0.25, "schedule": "constant", "momentum": 0, "weight_decay": 0, "ema": 0, "epochs": 100}
    return Recipe.model_validate(still | options)


def test_sgd_goes_down_with_nesterovs_momentum() -> None:
    assert moved_by(make_optimizer(plain(), 10, net()), 1) == pytest.approx((0.75, 0.75))
    assert moved_by(make_optimizer(plain(momentum=0.5), 10, net()), 1) == pytest.approx((0.625, 0.625))
    assert moved_by(make_optimizer(plain(optimizer="adam"), 10, net()), 8) == pytest.approx((0.75, 0.75), abs=1e-4)


def test_a_large_gradient_is_cut_to_the_norm_of_the_recipe() -> None:
    """The norm of two gradients of 3 is cut to 1."""
    expected = 1 - 0.25 * math.sqrt(0.5)
    cut = make_optimizer(plain(clip_norm=1), 10, net())
    assert moved_by(cut, 3) == pytest.approx((expected, expected))


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_kernels_decay_by_the_rate_and_biases_do_not(name: str) -> None:
    model = net()
    fill(model, 1.0)
    optimizer = make_optimizer(plain(optimizer=name, weight_decay=0.2), 10, model)
    optimizer.apply(
        [np.zeros(weight.shape, np.float32) for weight in model.trainable_variables], model.trainable_variables
    )
    kernel, bias = model.get_weights()
    assert kernel == pytest.approx(1 - 0.25 * 0.2)
    assert bias == pytest.approx(1)


@pytest.mark.parametrize(
    ("epochs", "ema", "momentum"), [(100, 0.5, 0.5), (10, 0.999, 0.95), (1, 0.999, 0.5), (1, 0, 0)]
)
def test_weights_are_averaged_over_a_fifth_of_the_training_at_most(epochs: int, ema: float, momentum: float) -> None:
    optimizer = make_optimizer(plain(epochs=epochs, ema=ema), 10, net())
    assert optimizer.use_ema == (ema > 0)
    assert optimizer.ema_momentum == pytest.approx(momentum)


def test_variables_exist_before_the_first_step_and_nothing_is_counted_yet() -> None:
    images = keras.layers.Input((2,))
    model = keras.Model(images, {"main": keras.layers.Dense(3, activation="softmax", name="main")(images)})
    model.compile(
        keras.optimizers.SGD(momentum=0.5),
        loss={"main": "categorical_crossentropy"},
        weighted_metrics={"main": ["accuracy"]},
    )
    before = model.get_weights()
    faces, targets = np.ones((4, 2), np.uint8), {"main": np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]}
    create_variables(model, (faces, targets, {"main": np.ones(4, np.float32)}))
    assert len(model.optimizer.variables) >= 3
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    assert not any(float(np.sum(variable)) for metric in model.metrics for variable in metric.variables)


def test_batches_are_those_of_the_epoch_whichever_was_the_first() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48), dtype=np.uint8)
    targets = {"fer2013": np.eye(7, dtype=np.float32)[np.arange(8) % 7]}
    resumed, through = (Batches(Examples(faces, targets), Recipe(batch_size=8)) for _ in range(2))
    StartEpoch(resumed).on_epoch_begin(3)
    through.start_epoch(3)
    assert np.array_equal(resumed[0][0], through[0][0])


# The history

LOGS = {
    "loss": 3.0,
    "ferplus7_loss": 1.0,
    "ferplus7_accuracy": 0.25,
    "fer2013_loss": 2.0,
    "fer2013_accuracy": 0.5,
    "val_loss": 4.0,
    "val_ferplus7_loss": 1.5,
    "val_ferplus7_accuracy": 0.75,
    "learning_rate": 0.125,
}


def history(path: Path, first_epoch: int = 0, *replay: Any, writes: bool = True) -> History:
    made = History(path, "ferplus7", first_epoch, replay, writes=writes)
    made.set_model(net())
    made.on_train_begin()
    return made


def an_epoch(made: History, epoch: int, **logs: float) -> None:
    made.on_epoch_begin(epoch)
    made.on_epoch_end(epoch, LOGS | logs)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_epoch_is_a_row_and_the_main_head_has_no_prefix(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    made = history(path)
    made.on_epoch_begin(0)
    made.model.optimizer.learning_rate = 0.125  # a plateau lowers it at the end of the epoch
    made.on_epoch_end(0, LOGS)
    an_epoch(made, 1, loss=2.5)
    first, second = rows(path)
    assert list(first) == [
        "epoch", "seconds", "learning_rate", "loss", "ferplus7_loss", "accuracy",
        "fer2013_loss", "fer2013_accuracy", "val_loss", "val_ferplus7_loss", "val_accuracy",
    ]  # fmt: skip
    assert (first["epoch"], first["learning_rate"], first["loss"], first["accuracy"]) == ("0", "0.25", "3.0", "0.25")
    assert (second["epoch"], second["learning_rate"], second["loss"]) == ("1", "0.125", "2.5")
    assert (first["val_accuracy"], first["fer2013_accuracy"], first["ferplus7_loss"]) == ("0.75", "0.5", "1.0")
    assert 0 <= float(first["seconds"]) < 60
    assert [file.name for file in tmp_path.iterdir()] == ["history.csv"]


def test_a_resumed_history_drops_what_is_trained_again(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    made = history(path)
    for epoch in range(3):
        an_epoch(made, epoch, loss=5.0 - epoch)
    resumed = history(path, 2)
    assert [row["loss"] for row in resumed.rows] == [5.0, 4.0]
    an_epoch(resumed, 2, loss=1.0)
    assert [(row["epoch"], row["loss"]) for row in rows(path)] == [("0", "5.0"), ("1", "4.0"), ("2", "1.0")]
    assert history(path).rows == [], "a new training begins anew"


def test_one_worker_writes_and_all_know_the_rows(tmp_path: Path) -> None:
    made = history(tmp_path / "history.csv", writes=False)
    an_epoch(made, 0)
    assert [row["val_accuracy"] for row in made.rows] == [0.75]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_training_that_diverges_ends_and_says_when(tmp_path: Path, loss: float) -> None:
    made = history(tmp_path / "history.csv")
    an_epoch(made, 0)
    with pytest.raises(ConfigError, match=f"the loss is {loss} after epoch 2. Train again with a lower"):
        an_epoch(made, 1, loss=loss)
    assert len(rows(tmp_path / "history.csv")) == 1


def test_a_resumed_training_waits_for_a_plateau_as_if_it_had_never_ended(tmp_path: Path) -> None:
    """What it has waited for counts, and the rate that was lowered before is not lowered again."""
    path = tmp_path / "history.csv"
    made = history(path)
    for epoch, loss in enumerate((4.0, 4.0, 4.0, 4.0)):
        an_epoch(made, epoch, val_loss=loss)
    plateau = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2)
    stop = keras.callbacks.EarlyStopping(patience=4)
    model = net()
    resumed = History(path, "ferplus7", 4, [plateau, stop], writes=True)
    for callback in (plateau, stop, resumed):
        callback.set_model(model)
        callback.on_train_begin()
    assert float(model.optimizer.learning_rate) == 0.25, "as in the checkpoint"
    plateau.on_epoch_end(4, {"val_loss": 4.0})
    assert float(model.optimizer.learning_rate) == 0.125
    model.stop_training = False
    stop.on_epoch_end(4, {"val_loss": 4.0})
    assert model.stop_training


@pytest.mark.parametrize("content", [None, "epoch,loss\n0,low\n", "epoch\n0,1,2\n"])
def test_a_damaged_history_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "history.csv"
    if content:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"history\.csv: is missing or damaged\. Remove .* and train again"):
        history(path, 1)


@pytest.mark.parametrize(("losses", "waited"), [([3.0, 2.0, 2.5, 2.0], 2), ([1.0], 0), ([3.0, 4.0], 1)])
def test_a_training_has_stopped_once_its_loss_has_not_fallen_for_so_long(
    tmp_path: Path, losses: list[float], waited: int
) -> None:
    path = tmp_path / "history.csv"
    made = history(path)
    for epoch, loss in enumerate(losses):
        an_epoch(made, epoch, val_loss=loss)
    assert not has_stopped(path, None)
    assert not has_stopped(path, waited + 1)
    assert has_stopped(path, max(waited, 1)) == (waited > 0)


# Weights


def test_the_last_checkpoint_alone_is_kept_and_brings_everything_back(tmp_path: Path) -> None:
    model = net()
    keeper = Checkpoint(tmp_path)
    keeper.set_model(model)
    assert (restore(net(), tmp_path), epochs_done(tmp_path)) == (0, 0)
    for epoch in (0, 9, 10):
        fill(model, float(epoch))
        model.optimizer.iterations.assign(10 * epoch)
        keeper.on_epoch_end(epoch)
        assert len(list(tmp_path.iterdir())) == 1
    fresh = net()
    assert restore(fresh, tmp_path) == epochs_done(tmp_path) == 11
    assert values(fresh) == {10.0}
    assert int(fresh.optimizer.iterations) == 100


def test_a_damaged_checkpoint_is_named_with_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "unfinished"
    folder.mkdir(parents=True)
    path = folder / "epoch-0001.weights.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=f"is missing or damaged. Remove {tmp_path / 'run'} and train again"):
        load_weights(net(), path)


def with_ema() -> Any:
    return net(keras.optimizers.SGD(0.25, use_ema=True, ema_momentum=0.5))


@pytest.mark.parametrize("make", [net, with_ema])
def test_the_first_of_the_best_epochs_is_kept(tmp_path: Path, make: Callable[[], Any]) -> None:
    """With averages, these are; the training goes on with its own weights."""
    model, path = make(), tmp_path / "best.weights.h5"
    ema = keras.callbacks.SwapEMAWeights() if model.optimizer.use_ema else None
    made = history(tmp_path / "history.csv")
    best = KeepBest(path, made, ema, writes=True)
    best.set_model(model)
    for epoch, accuracy in enumerate((0.25, 0.5, 0.5, 0.375)):
        fill(model, float(epoch))
        if ema:
            ema.set_model(model)
            for average, variable in zip(
                model.optimizer._model_variables_moving_average, model.trainable_variables, strict=True
            ):
                average.assign(np.full(variable.shape, 10.0 * epoch))
        an_epoch(made, epoch, val_ferplus7_accuracy=accuracy)
        best.on_epoch_end(epoch)
        assert values(model) == {float(epoch)}, "the training goes on with these"
    fresh = make()
    load_weights(fresh, path)
    assert values(fresh) == {10.0 if ema else 1.0}


def test_of_several_workers_one_keeps_the_best(tmp_path: Path) -> None:
    made = history(tmp_path / "history.csv", writes=False)
    best = KeepBest(tmp_path / "best.weights.h5", made, None, writes=False)
    best.set_model(net())
    an_epoch(made, 0)
    best.on_epoch_end(0)
    assert not list(tmp_path.iterdir())
