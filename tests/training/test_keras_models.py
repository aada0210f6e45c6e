"""Which Keras files are taken for models, and what is told of the others."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ModelError
from fer_edge.preprocess import resize
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.keras_models import ADAPTED, load_any_model, load_model, predict  # noqa: E402


def saved(path: Path, *shape: int, name: str = "any", flat: bool = True) -> Path:
    """A network of two classes for pictures of that shape."""
    x = keras.Input(shape)
    y = keras.layers.GlobalAveragePooling2D()(x) if flat and len(shape) == 3 else x
    model = keras.Model(x, keras.layers.Dense(2, name="answers")(y), name=name)
    model.compile("adam", "mse")
    model.save(path)
    return path


@pytest.mark.parametrize("shape", [(32, 32, 1), (224, 224, 3)])
def test_square_pictures_grey_or_in_colour_are_taken(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = load_any_model(saved(tmp_path / "model.keras", *shape))
    assert model.input_shape == (None, *shape)
    assert not model.compiled, "it is loaded to be used, not trained on"


@pytest.mark.parametrize("shape", [(31, 31, 1), (225, 225, 1), (48, 64, 1), (64, 48, 1), (48, 48, 2), (48,)])
def test_other_inputs_are_told_with_what_is_expected(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = saved(tmp_path / "model.keras", *shape)
    with pytest.raises(ModelError) as refused:
        load_any_model(path)
    ending = "(None, 2), expected a square of 32 to 224 pixels with 1 or 3 channels, to (None, classes)"
    assert str(refused.value) == f"{path}: goes from {(None, *shape)} to {ending}"


def test_a_picture_for_an_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"to \(None, 48, 48, 2\), expected a square"):
        load_any_model(saved(tmp_path / "model.keras", 48, 48, 1, flat=False))


def test_a_model_from_elsewhere_is_adapted_first(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.keras", 64, 64, 3)
    with pytest.raises(ModelError) as refused:
        load_model(path)
    assert str(refused.value) == (
        f"{path}: goes from (None, 64, 64, 3) to (None, 2), expected (None, 48, 48, 1) to (None, classes). "
        "For a model from elsewhere: fer-train wrap"
    )
    assert load_model(saved(path, 64, 64, 3, name=ADAPTED)).name == ADAPTED
    assert load_model(saved(path, 48, 48, 1)).name == "any"


def test_what_is_no_model_is_told_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with pytest.raises(ModelError) as refused:
        load_any_model(path)
    assert str(refused.value) == f"{path}: no such file. Train one with fer-train fit"
    path.write_bytes(b"text")
    with pytest.raises(ModelError) as refused:
        load_any_model(path)
    assert str(refused.value) == f"{path}: is not a usable Keras model (not the archive that a .keras file is)"
    other = path.rename(tmp_path / "model.h5")
    with pytest.raises(ModelError, match=r"model\.h5: is not a usable Keras model \([^\n]{5,160}\)$"):
        load_any_model(other)


def test_other_answers_than_a_row_per_face_are_refused(tmp_path: Path) -> None:
    image = keras.Input((48, 48, 1))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    path = tmp_path / "model.keras"
    keras.Model(image, [mean, mean]).save(path)
    with pytest.raises(ModelError) as refused:
        load_any_model(path)
    assert str(refused.value).startswith(f"{path}: goes from (None, 48, 48, 1) to [(None, 1), (None, 1)], expected")
    keras.Model([image, keras.Input((48, 48, 1))], mean).save(path)
    with pytest.raises(ModelError, match=r"goes from \[\(None, 48, 48, 1\), \(None, 48, 48, 1\)\] to \(None, 1\)"):
        load_any_model(path)


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_model_whose_shapes_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)]).save(path)
    with pytest.raises(ModelError) as refused:
        load_any_model(path)
    assert str(refused.value).startswith(f"{path}: goes from None to None, expected a square of")


def test_faces_get_the_size_and_the_channels_of_the_model(capfd: pytest.CaptureFixture[str]) -> None:
    """More than one batch of them, without a word."""
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    faces = np.tile(np.array(list(load_composites().values())), (74, 1, 1))
    found = predict(model, faces)
    assert found.dtype == np.float32
    assert found.shape == (518, 3)
    assert found == pytest.approx(np.repeat([[resize(face, 32).mean()] for face in faces], 3, axis=1), abs=1e-3)
    assert capfd.readouterr().out == ""


def test_answers_of_a_lower_precision_become_floats() -> None:
    image = keras.Input((48, 48, 1))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(dtype="float16")(image))
    found = predict(model, np.full((2, 48, 48), 100, np.uint8))
    assert found.dtype == np.float32
    assert found.tolist() == [[100], [100]]
