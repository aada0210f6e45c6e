"""Trainings that start from another's weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.errors import ConfigError, ModelError
from fer_edge.model.bundle import find_bundle
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import build  # noqa: E402
from fer_train.data.datasets import LabelledFaces, Split, load_dataset  # noqa: E402
from fer_train.evaluation.metrics import accuracy_interval  # noqa: E402
from fer_train.keras_models import load_model  # noqa: E402
from fer_train.recipes import Recipe, load_recipe  # noqa: E402
from fer_train.training.artifacts import refresh_batch_norm  # noqa: E402
from fer_train.training.batches import Batches, join  # noqa: E402
from fer_train.training.fit import fit  # noqa: E402
from fer_train.training.losses import add_heads  # noqa: E402
from fer_train.training.start import blend, keep_start_if_no_better, weights_of  # noqa: E402
from fer_train.training.transfer import hold_near_start, initialise, initialise_heads  # noqa: E402

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


# The parts, on networks whose answers and weights are known


def always(*biases: float) -> keras.Model:
    """A network that says the softmax of these numbers, whatever it sees."""
    image = keras.Input((48, 48, 1))
    layer = keras.layers.Dense(7, activation="softmax", kernel_initializer="zeros")
    model = keras.Model(image, layer(keras.layers.Flatten()(image)))
    layer.bias.assign([*biases, *[0.0] * (7 - len(biases))])
    return model


def grey_faces(*classes: int) -> LabelledFaces:
    images = np.full((len(classes), 48, 48), 128, np.uint8)
    targets = np.eye(7, dtype=np.float32)[list(classes)]
    return LabelledFaces(images, targets, np.arange(len(classes)), "fer2013", Path("made.csv"), "validation")


def test_the_start_is_kept_unless_more_is_right_or_the_log_loss_is_lower() -> None:
    faces, model, share = grey_faces(0, 1, 1, 1, 2), always(), {0: 0.2, 1: 0.6}
    for before, after, kept_start in (
        ((5, 0), (0, 5), False),  # right more often
        ((0, 5), (5, 0), True),
        ((5, 0), (2, 0), False),  # as often, and not as sure of what is wrong
        ((2, 0), (5, 0), True),
        ((5, 0), (5, 0), True),  # the same
    ):
        bias = model.layers[-1].bias
        bias.assign([*before, *[0] * 5])
        start = weights_of(model)
        bias.assign([*after, *[0] * 5])
        gain = keep_start_if_no_better(model, model, start, faces)
        assert (gain.images, gain.kept_start) == (5, kept_start)
        assert (gain.before, gain.after) == (share[int(np.argmax(before))], share[int(np.argmax(after))])
        assert gain.interval == accuracy_interval(np.arange(5) < round(5 * gain.after))
        assert bias.numpy()[:2].tolist() == list(before if kept_start else after)


def test_a_training_that_cares_for_rare_classes_is_judged_by_macro_recall() -> None:
    """The result reads two classes of three, the start one, which most faces have."""
    faces, model = grey_faces(0, 1, 1, 1, 2), always(0, 5)
    faces.images[[0, 4]] = np.array([0, 255], np.uint8)[:, None, None]
    start, kernel = weights_of(model), np.zeros((48 * 48, 7), np.float32)
    kernel[0, [0, 2]] = (-1, 1)
    for balanced in (False, True):
        model.layers[-1].set_weights([kernel, np.array([200, 0, -240, 0, 0, 0, 0], np.float32)])
        gain = keep_start_if_no_better(model, model, start, faces, balanced=balanced)
        assert (gain.before, gain.after) == (0.6, 0.4)
        assert (gain.macro_recall_before, gain.macro_recall_after) == (0.3333, 0.6667)
        assert gain.kept_start is not balanced


def test_the_mean_with_the_start_has_its_share_of_the_start() -> None:
    model = always(8, 4)
    blend(model, weights_of(always(0, 8)), 0.25)
    assert model.layers[-1].bias.numpy()[:2].tolist() == [6, 5]


def test_weights_of_a_network_with_fewer_layers_are_no_start() -> None:
    model, faces = always(8, 4), grey_faces(0, 1)
    fewer = weights_of(model)[:-1]
    with pytest.raises(ValueError, match="shorter"):
        blend(model, fewer, 0.25)
    with pytest.raises(ValueError, match="shorter"):
        keep_start_if_no_better(model, model, fewer, faces)


def test_weights_are_pulled_back_to_where_they_were() -> None:
    model = always(1, 2)
    hold_near_start(model, 3.0)
    assert float(sum(model.losses)) == 0
    model.layers[-1].bias.assign([1, 4, *[0.0] * 5])
    assert float(sum(model.losses)) == pytest.approx(3.0 / 2 * 2**2)


def test_a_network_gets_all_weights_of_another_and_keeps_those_that_are_frozen(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    source, model, other = build("cnn-small", 7), build("cnn-small", 7), build("cnn-small", 8)
    source.save(tmp_path / "model.keras")
    initialise(model, tmp_path / "model.keras", ["trunk"])
    assert all(map(np.array_equal, model.get_weights(), source.get_weights()))
    assert [layer.trainable for layer in model.layers] == [*[False] * (len(model.layers) - 1), True]
    own = other.layers[-1].get_weights()
    initialise(other, tmp_path / "model.keras")
    assert all(map(np.array_equal, other.layers[-1].get_weights(), own)), "eight classes are not seven"
    assert all(map(np.array_equal, other.layers[1].get_weights(), source.layers[1].get_weights()))
    names = [layer.name for layer in model.layers if layer.weights]
    telling = rf"--freeze stem9: no such layer\. Choose trunk, {', '.join(names[:-2])} or {names[-2]}$"
    with pytest.raises(ConfigError, match=telling):
        initialise(model, tmp_path / "model.keras", ["stem9"])


def test_a_network_of_another_width_is_no_start(tmp_path: Path) -> None:
    def layers(width: int) -> keras.Model:
        image = keras.Input((48, 48, 1))
        wide = keras.layers.Dense(width)(keras.layers.GlobalAveragePooling2D()(image))
        return keras.Model(image, keras.layers.Dense(7, activation="softmax")(wide))

    layers(4).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match="has another size than in"):
        initialise(layers(5), tmp_path / "model.keras")


def test_auxiliary_heads_get_the_weights_of_theirs(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    (tmp_path / "ferplus8").mkdir()
    head = build("cnn-small", 8)
    head.save(tmp_path / "ferplus8" / "model.keras")
    model = add_heads(build("cnn-small", 7), Recipe.model_validate({"also": {"ferplus8": 0.5, "ferplus7": 0.5}}))
    own = model.get_layer("probabilities_ferplus7").get_weights()
    initialise_heads(model, tmp_path / "model.keras", ["ferplus8", "ferplus7"])
    found = model.get_layer("probabilities_ferplus8").get_weights()
    assert all(map(np.array_equal, found, head.layers[-1].get_weights()))
    assert all(map(np.array_equal, model.get_layer("probabilities_ferplus7").get_weights(), own)), "it had no such head"


def test_batch_norms_are_measured_on_batches_as_in_the_last_epoch() -> None:
    """Faces are erased until the soft end: then all are grey 128."""
    still = dict.fromkeys(("rotate_degrees", "scale", "shift", "contrast", "brightness", "soften"), 0.0)
    augmentation = still | {"noise": 0.0, "compress": 0.0, "erase": 1.0, "mirror": False}
    recipe = Recipe.model_validate({"batch_size": 4, "epochs": 10, "soft_end": 0.1, "augmentation": augmentation})
    norm = keras.layers.BatchNormalization(momentum=0.5)
    model = keras.Sequential([keras.Input((48, 48, 1)), norm])
    refresh_batch_norm(model, Batches(join([grey_faces(*range(7))]), recipe), 1)
    assert norm.moving_mean.numpy() == pytest.approx(128)
    assert norm.moving_variance.numpy() == pytest.approx(0, abs=1e-6)


def test_another_architecture_is_told_with_the_sizes_of_both_and_its_name_if_it_is_recorded(tmp_path: Path) -> None:
    source = tmp_path / "model.keras"
    always().save(source)
    model = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.ReLU()], name="mine")
    for record, ending in (({}, ""), ({"recipe": {"architecture": "mobile"}}, " mobile"), ({"recipe": 3}, "")):
        source.with_name("training.json").write_text(json.dumps(record))
        with pytest.raises(ModelError) as refused:
            initialise(model, source)
        told = f"with 16,135 parameters, not mine with 0 parameters. Give its --architecture{ending}"
        assert str(refused.value).startswith(f"{source}: is functional")
        assert str(refused.value).endswith(told)
