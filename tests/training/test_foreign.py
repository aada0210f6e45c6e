"""A model that was made elsewhere is given what it wants, and answers in our order: against figures made by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError, ModelError
from fer_edge.labels import FER2013, FERPLUS8
from fer_edge.model.bundle import sha256
from fer_edge.preprocess import resize
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.foreign import Description, adapt, foreign_colour  # noqa: E402
from fer_train.keras_models import load_model, predict  # noqa: E402

# As image_dataset_from_directory orders the classes.
SORTED = tuple(sorted(FER2013))
FACES = np.array(list(load_composites().values()))


def foreign(path: Path, classes: int, channels: int, *, softmax: bool) -> npt.NDArray[np.float32]:
    """Save a model that looks at the mean of each channel of 32x32 pixels; return its weights."""
    image = keras.Input((32, 32, channels))
    dense = keras.layers.Dense(classes, activation="softmax" if softmax else None)
    model = keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image)))
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 1.5, (channels, classes)).astype(np.float32)
    dense.set_weights([kernel, np.zeros(classes, np.float32)])
    model.save(path)
    return kernel


def softmax(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("of_probabilities", [True, False])
def test_each_channel_has_its_range_and_each_label_its_place(tmp_path: Path, of_probabilities: bool) -> None:
    path, out = tmp_path / "theirs.keras", tmp_path / "run"
    kernel = foreign(path, 7, 3, softmax=of_probabilities)
    mean, scale = (100.0, 110.0, 120.0), (20.0, 30.0, 40.0)
    adapted = adapt(path, out, Description(SORTED, None, mean, scale, None))
    assert (adapted.colour, adapted.scheme, adapted.known) == ("rgb", "fer2013", 7)
    assert adapted.outputs == ("probabilities" if of_probabilities else "logits")
    small = np.array([resize(face, 32) for face in FACES], float)
    seen = (small.mean(axis=(1, 2))[:, None] - mean) / scale
    expected = softmax(seen @ kernel)[:, [SORTED.index(label) for label in FER2013]]
    assert expected.max(axis=0).min() < 0.5
    said = predict(load_model(out / "model.keras"), FACES)
    assert said == pytest.approx(expected, abs=1e-4)
    right = [FER2013[place] == label for place, label in zip(said.argmax(axis=1), load_composites(), strict=True)]
    assert adapted.same == sum(right)
    record = json.loads((out / "training.json").read_text())
    assert record == {
        "scheme": "fer2013",
        "labels": list(FER2013),
        "foreign": {"model": "theirs.keras", "sha256": sha256(path.read_bytes()), "colour": "rgb"},
    }
    assert foreign_colour(record) == "rgb"
    assert foreign_colour({"scheme": "fer2013"}) is None


def test_a_model_of_three_channels_that_was_trained_on_grey_gets_grey_in_each(tmp_path: Path) -> None:
    kernel = foreign(tmp_path / "theirs.keras", 8, 3, softmax=False)
    ours = Description((*SORTED, "contempt"), "grey", (0.0,), (255.0,), "logits")
    adapted = adapt(tmp_path / "theirs.keras", tmp_path / "run", ours)
    assert (adapted.colour, adapted.scheme, adapted.outputs) == ("grey", "ferplus8", "logits")
    model = load_model(tmp_path / "run" / "model.keras")
    assert model.input_shape == (None, 32, 32, 1)
    small = np.array([resize(face, 32) for face in FACES], float)
    seen = np.repeat(small.mean(axis=(1, 2))[:, None] / 255, 3, axis=1)
    order = [(*SORTED, "contempt").index(label) for label in FERPLUS8]
    assert predict(model, FACES) == pytest.approx(softmax(seen @ kernel)[:, order], abs=1e-4)


def test_outputs_that_are_neither_probabilities_nor_logits_are_asked_about(tmp_path: Path) -> None:
    image = keras.Input((32, 32, 1))
    dense = keras.layers.Dense(7, activation="sigmoid", kernel_initializer="zeros")
    keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image))).save(tmp_path / "odd.keras")
    with pytest.raises(ConfigError, match=r"its outputs for a face sum to 3\.50: give --outputs logits"):
        adapt(tmp_path / "odd.keras", tmp_path / "run", Description(FER2013, None, (0.0,), (1.0,), None))
    assert not (tmp_path / "run").exists()
    asked = Description(FER2013, None, (0.0,), (1.0,), "logits")
    assert adapt(tmp_path / "odd.keras", tmp_path / "run", asked).outputs == "logits"
    assert predict(load_model(tmp_path / "run" / "model.keras"), FACES) == pytest.approx(1 / 7, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": (1.0, 2.0)}, "--mean: the model has 3 channels. Give one number, or one per channel"),
        ({"scale": (1.0, 2.0)}, "--scale: the model has 3 channels. Give one number, or one per channel"),
        ({"scale": (1.0, 0.0, 2.0)}, "--scale: must be greater than 0"),
        (
            {"labels": FER2013[:6]},
            f"PATH: has 7 classes, but --labels names 6: {', '.join(FER2013[:6])}",
        ),
        (
            {"labels": (*FER2013[:6], FER2013[0])},
            f"--labels: {', '.join((*FER2013[:6], FER2013[0]))} are not {', '.join(FER2013)}, "
            "with or without contempt. fer-edge models wrap takes a TFLite model with any classes",
        ),
    ],
)
def test_a_description_that_does_not_fit_is_told_and_nothing_written(
    tmp_path: Path, changes: dict[str, tuple[float, ...]], message: str
) -> None:
    path = tmp_path / "theirs.keras"
    foreign(path, 7, 3, softmax=True)
    description = replace(Description(FER2013, None, (0.0,), (1.0,), None), **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        adapt(path, tmp_path / "run", description)
    assert str(caught.value) == message.replace("PATH", str(path))
    assert not (tmp_path / "run").exists()


def test_a_small_scale_is_allowed_and_a_used_folder_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.keras"
    foreign(path, 7, 3, softmax=True)
    description = Description(FER2013, None, (0.0,), (0.5,), "probabilities")
    adapted = adapt(path, tmp_path / "run", description)
    assert adapted.outputs == "probabilities"
    text = (tmp_path / "run" / "training.json").read_text()
    assert text.startswith('{\n  "scheme": "fer2013",\n')
    assert text.endswith("\n}\n")
    with pytest.raises(ConfigError, match="run"):
        adapt(path, tmp_path / "run", description)


def test_outputs_that_are_not_finite_are_blamed_on_the_range(tmp_path: Path) -> None:
    path = tmp_path / "theirs.keras"
    image = keras.Input((32, 32, 1))
    dense = keras.layers.Dense(7, kernel_initializer=keras.initializers.Constant(3e38))
    keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image))).save(path)
    with pytest.raises(ModelError) as caught:
        adapt(path, tmp_path / "run", Description(FER2013, None, (0.0,), (1.0,), None))
    assert str(caught.value) == f"{path}: its outputs are not finite. Check --mean and --scale"
