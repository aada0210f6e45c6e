"""Which layer loses by int8, 16 bits for it, and the other modes: on a small network that loses in a known place."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError, ModelError
from fer_edge.model.interpreter import open_interpreter
from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces
from fer_train.evaluation.metrics import accuracy_interval
from fer_train.evaluation.tflite import real_answers

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_quantize.convert import MODES, convert, parse_modes  # noqa: E402
from fer_quantize.layer_error import layer_errors  # noqa: E402
from fer_quantize.modes import compare_modes  # noqa: E402
from fer_quantize.selective_int16 import to_mixed  # noqa: E402
from fer_train.keras_models import predict  # noqa: E402

FACES = np.stack([np.roll(face, shift, 1) for face in load_composites().values() for shift in (0, 3, 6)])


pytestmark = pytest.mark.usefixtures("folder_of_tensorflow")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Two channels of `relu` are 200 times larger than the others. `left` reads the others alone, `right` those two."""
    keras.utils.set_random_seed(0)
    image = keras.Input((48, 48, 1))
    wide = keras.layers.Conv2D(6, 5, strides=5, name="wide")(keras.layers.Rescaling(1 / 255)(image))
    relu = keras.layers.ReLU(name="relu")(wide)
    left, right = (keras.layers.Conv2D(6, 1, name=name)(relu) for name in ("left", "right"))
    total = keras.layers.Flatten()(keras.layers.Add(name="sum")([left, right]))
    made = keras.Model(image, keras.layers.Dense(7, activation="softmax", name="head")(total))
    factors = {"wide": [200, 200, 1, 1, 1, 1], "left": [0, 0, 1, 1, 1, 1], "right": [1 / 200, 1 / 200, 0, 0, 0, 0]}
    for name, factor in factors.items():
        kernel, bias = made.get_layer(name).get_weights()
        by_channel = np.array(factor).reshape((-1,) if name == "wide" else (-1, 1))
        made.get_layer(name).set_weights([kernel * by_channel, bias])
    return made


def answers(content: bytes) -> npt.NDArray[np.float32]:
    return real_answers(open_interpreter(content), FACES)


def test_the_noise_of_each_operation_is_told_in_decibels(model: keras.Model) -> None:
    found = layer_errors(model, FACES, FACES)
    assert [error.index for error in found] == list(range(7))
    assert [error.layer for error in found[:4]] == ["relu", "left", "right", "sum"]
    assert max(found, key=lambda error: error.added_db).layer == "left"
    exact, coarse = predict(model, FACES), answers(convert(model, FACES, "int8"))
    ratio = np.square(exact.astype(float)).sum() / np.square(exact - coarse.astype(float)).sum()
    assert found[-1].sqnr_db == pytest.approx(10 * np.log10(ratio), abs=0.3)
    # The worse of the two inputs of a sum decides what it adds.
    relu, left, right, added = (error.sqnr_db for error in found[:4])
    assert relu > 40
    assert right > 40
    assert left < 10
    assert found[0].added_db == 0
    assert found[1].added_db == pytest.approx(relu - left, abs=0.11)
    assert found[3].added_db == pytest.approx(left - added, abs=0.11)


def test_16_bits_on_both_sides_of_what_int8_ruins_keep_the_answers(model: keras.Model) -> None:
    exact = predict(model, FACES)
    lost = np.abs(answers(convert(model, FACES, "int8")) - exact).mean()
    mixed = to_mixed(model, FACES, ["relu", "left"])
    assert np.abs(answers(mixed) - exact).mean() < lost / 6
    details = open_interpreter(mixed).get_tensor_details()
    wide = {str(tensor["name"]) for tensor in details if tensor["dtype"] == np.int16}
    assert wide
    assert {tensor["dtype"] for tensor in details} <= {np.int8, np.int16, np.int32, np.int64}
    kernels = [tensor for tensor in details if len(tensor["shape"]) == 4 and tensor["shape"][0] == 6]
    assert {tensor["dtype"] for tensor in kernels if tensor["shape"][1] in {1, 5}} == {np.int8}, "weights have 8 bits"
    with pytest.raises(ModelError, match="no layer 'lef' in the converted model"):
        to_mixed(model, FACES, ["lef"])


def test_an_extreme_that_one_face_alone_reaches_is_not_clipped(model: keras.Model) -> None:
    """The last face is the only bright one: a mean of ranges, or those of the first faces, would cut it off."""
    faces = np.concatenate([FACES // 8, np.full((1, 48, 48), 255, np.uint8)])
    layer = keras.Model(model.input, model.get_layer("relu").output)
    largest = float(np.asarray(layer.predict(faces[..., None], verbose=0)).max())
    for content, dtype in (
        (to_mixed(model, faces, ["relu", "left"]), np.int16),
        (convert(model, faces, "int8"), np.int8),
    ):
        tops = [
            tensor["quantization"][0] * (np.iinfo(dtype).max - tensor["quantization"][1])
            for tensor in open_interpreter(content).get_tensor_details()
            if tensor["dtype"] == dtype and tuple(tensor["shape"]) == (1, 9, 9, 6)
        ]
        assert max(tops) == pytest.approx(largest, rel=0.05)


def test_each_mode_is_measured_as_it_is(model: keras.Model) -> None:
    classes = predict(model, FACES).argmax(axis=1)
    classes[:4] = (classes[:4] + 1) % 7
    faces = LabelledFaces(
        FACES, np.eye(7, dtype=np.float32)[classes], np.arange(21), "fer2013", Path("a"), "validation"
    )
    exact, half = compare_modes(model, FACES, faces, ["float32", "float16"])
    assert (exact.mode, half.mode) == ("float32", "float16")
    assert exact.accuracy == half.accuracy == pytest.approx(17 / 21)
    assert exact.interval == accuracy_interval(np.arange(21) < 17)
    assert half.cost.bytes < 0.7 * exact.cost.bytes
    dtypes = {
        mode: {tensor["dtype"] for tensor in open_interpreter(convert(model, FACES, mode)).get_tensor_details()}
        for mode in MODES
    }
    assert np.int16 in dtypes["int16x8"]
    assert np.float16 in dtypes["float16"]
    assert np.int8 in dtypes["dynamic"]
    assert np.float32 not in dtypes["int8"]
    assert dtypes["float32"] <= {np.float32, np.int32}


def test_modes_come_in_one_order_and_unknown_ones_are_refused() -> None:
    assert parse_modes([]) == []
    assert parse_modes(["float32", "int8"]) == ["int8", "float32"]
    with pytest.raises(ConfigError, match="--mode int4: is unknown"):
        parse_modes(["int8", "int4"])
