"""Models that were made elsewhere: small real ones of each kind, wrapped by the command and run by the runtime."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests import warm
from tests.conftest import Run

from fer_edge import Pipeline, load_frame
from fer_edge.config import RunConfig
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.golden import self_test

# The models answer with the mean of each channel, so that colours, range and softmax can be told from the outputs.
MAKE = """
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from keras import layers, ops
from fer_edge.silence import quiet

def convert(name, inputs, outputs, whole=None, low=0.0, high=1.0):
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, outputs))
    if whole:
        rng, shape = np.random.default_rng(0), (1, *inputs.shape[1:])
        sample = lambda: ([rng.uniform(low, high, shape).astype(np.float32)] for _ in range(20))
        edge = lambda: ([np.full(shape, value, np.float32)] for value in (low, high))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (one for part in (edge(), sample()) for one in part)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = whole
    with quiet():
        Path(FOLDER, name + ".tflite").write_bytes(converter.convert())

def means(size, channels):
    inputs = keras.Input(batch_shape=(1, size, size, channels))
    return inputs, layers.GlobalAveragePooling2D()(inputs)

def brightness(size):
    inputs, mean = means(size, 1)
    dense = layers.Dense(2, activation="softmax")
    outputs = dense(mean)
    dense.set_weights([np.array([[4.0, -4.0]], np.float32), np.array([-2.0, 2.0], np.float32)])
    return inputs, outputs

convert("rgb", *means(40, 3))
inputs, mean = means(224, 3)
convert("rgb-int8", inputs, layers.Softmax()(mean * 4), tf.int8, -1.0, 1.0)
convert("grey", *brightness(32))
convert("grey-uint8", *brightness(64), tf.uint8)
inputs, mean = means(48, 1)
convert("halves", inputs, ops.concatenate([mean / 4, mean / 4], axis=1))
convert("nans", inputs, ops.concatenate([ops.log(-1 - mean), mean], axis=1))
convert("two", inputs, [mean, mean * 2])
convert("tiny", *means(16, 3))
inputs = keras.Input(batch_shape=(1, 3, 48, 48))
convert("channels-first", inputs, ops.mean(inputs, axis=(2, 3)))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    warm.run_script(f"FOLDER = {str(folder)!r}\n{MAKE}")
    return folder


def read(bundle: Path, crop: np.ndarray) -> list[float]:
    return [float(value) for value in Classifier(load_bundle(bundle)).probabilities(crop)]


def softmax(*values: float) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def coloured(size: int, blue: int, green: int, red: int) -> np.ndarray:
    return np.full((size, size, 3), (blue, green, red), np.uint8)


def test_a_colour_model_gets_red_first_and_its_own_range(models: Path, command: Run, tmp_path: Path) -> None:
    means = ("--mean", "10,20,30", "--scale", "100,50,25")
    done = command(
        "fer-edge",
        "models",
        "wrap",
        models / "rgb.tflite",
        "--labels",
        "red,green,blue",
        *means,
        "--out",
        tmp_path / "m",
    )
    assert done.returncode == 0, done.stderr
    assert "40x40 rgb, 3 channels, float32; (level - 10,20,30) / 100,50,25; logits of 3 classes" in done.stdout
    assert "composite" not in done.stdout  # it has none of our labels
    expected = softmax((250 - 10) / 100, (100 - 20) / 50, (60 - 30) / 25)
    assert read(tmp_path / "m", coloured(40, blue=60, green=100, red=250)) == pytest.approx(expected, abs=1e-5)
    done = command("fer-edge", "models", "verify", tmp_path / "m")
    assert "off by 0 of 256 steps" in done.stdout, done.stderr


def test_a_model_that_was_trained_on_bgr_gets_blue_first(models: Path, command: Run, tmp_path: Path) -> None:
    options = ("--labels", "blue,green,red", "--input", "bgr", "--scale", "100", "--out", tmp_path / "m")
    done = command("fer-edge", "models", "wrap", models / "rgb.tflite", *options)
    assert done.returncode == 0, done.stderr
    expected = softmax(0.6, 1.0, 2.5)
    assert read(tmp_path / "m", coloured(40, blue=60, green=100, red=250)) == pytest.approx(expected, abs=1e-5)


def test_a_grey_crop_fills_the_three_channels_of_a_model_that_was_trained_on_grey(
    models: Path, command: Run, tmp_path: Path
) -> None:
    options = ("--labels", "a,b,c", "--input", "grey", "--scale", "100,50,25", "--out", tmp_path / "m")
    assert command("fer-edge", "models", "wrap", models / "rgb.tflite", *options).returncode == 0
    crop = np.full((40, 40), 50, np.uint8)
    assert read(tmp_path / "m", crop) == pytest.approx(softmax(0.5, 1.0, 2.0), abs=1e-5)
    assert self_test(load_bundle(tmp_path / "m")) == 0


def test_a_whole_number_model_tells_its_range_by_itself(models: Path, command: Run, tmp_path: Path) -> None:
    for name, said in (("rgb-int8", "(level - 127.5) / 127.5"), ("grey-uint8", "(level - 0) / 255")):
        labels = "red,green,blue" if name == "rgb-int8" else "bright,dark"
        out = tmp_path / name
        done = command("fer-edge", "models", "wrap", models / f"{name}.tflite", "--labels", labels, "--out", out)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        assert "; probabilities of" in done.stdout
        assert self_test(load_bundle(out)) == 0
    found = read(tmp_path / "rgb-int8", coloured(224, blue=0, green=128, red=255))
    assert found == pytest.approx(softmax(4, 0, -4), abs=0.02)
    found = read(tmp_path / "grey-uint8", np.full((64, 64), 204, np.uint8))
    assert found == pytest.approx(softmax(4 * 0.8 - 2, 2 - 4 * 0.8), abs=0.02)


def test_labels_come_from_a_file_and_a_wrong_order_is_noticed(models: Path, command: Run, tmp_path: Path) -> None:
    """With this scale every face is bright, which is the model's first class."""
    (tmp_path / "names.txt").write_text("neutral\nwink\n")
    for labels, same in ((tmp_path / "names.txt", 1), ("wink,neutrality", 0)):
        out = tmp_path / f"m{same}"
        options = ("--labels", labels, "--scale", "40", "--out", out, "--licence", "CC BY 4.0")
        done = command("fer-edge", "models", "wrap", models / "grey.tflite", *options)
        assert done.returncode == 0, done.stderr
        assert f"{same} of 1 composite faces get their own label" in done.stdout
        assert ("That is few" in done.stdout) == (same == 0)
        assert load_bundle(out).manifest.licence == "CC BY 4.0"
    assert load_bundle(tmp_path / "m1").manifest.labels == ("neutral", "wink")


def test_the_runtime_cuts_colour_crops_and_shows_labels_that_are_not_ours(
    models: Path, command: Run, tmp_path: Path
) -> None:
    """A whole photograph in red light, through detector, crop, model, JSON and picture."""
    from fer_edge.sources.demo import DemoSource

    with DemoSource(paced=False) as source:
        image = next(iter(source)).image
    cv2.imwrite(str(tmp_path / "red.png"), (image * np.array([0.3, 0.5, 1.0])).astype(np.uint8))
    options = ("--labels", "rot,grün,blau", "--scale", "50", "--out", tmp_path / "m")
    assert command("fer-edge", "models", "wrap", models / "rgb.tflite", *options).returncode == 0
    done = command("fer-edge", "run", tmp_path / "red.png", "--model", tmp_path / "m", "--json", "-")
    assert done.returncode == 0, done.stderr
    face = next(record["faces"][0] for record in map(json.loads, done.stdout.splitlines()) if record["faces"])
    assert face["label"] == "rot"
    done = command("fer-edge", "run", tmp_path / "red.png", "--model", tmp_path / "m", "--record", tmp_path / "drawn")
    assert done.returncode == 0, done.stderr
    config = RunConfig(model=str(tmp_path / "m"))
    with Pipeline(config) as pipeline:
        result = pipeline.process(load_frame(tmp_path / "red.png"))
    assert result.labels == ("rot", "grün", "blau")
    crop = result.faces[0].raw.crop
    assert crop is not None
    assert crop.shape == (40, 40)


@pytest.mark.parametrize(
    ("name", "options", "code", "message"),
    [
        ("grey", ("--labels", "a,b"), 2, "a float model does not tell which numbers it wants: give --scale 1"),
        ("grey", ("--labels", "a,b", "--mean", "1"), 2, "--mean: give --scale too"),
        ("grey", ("--labels", "a,b", "--scale", "x"), 2, "--scale x: expected a number"),
        ("grey", ("--labels", "a,b", "--scale", "0"), 2, "must be greater than 0"),
        ("grey", ("--labels", "a,b", "--scale", "1,2"), 2, "give one number, or one per channel"),
        ("grey", ("--labels", "a,b", "--scale", "1,2,3"), 2, "the model's input has 1 channel, give one number each"),
        ("grey", ("--labels", "a,b,c", "--scale", "1"), 4, "it has 2 classes, but --labels names 3: a, b, c"),
        ("grey", ("--labels", "a,a", "--scale", "1"), 2, "one is there twice"),
        ("grey", ("--labels", "uncertain,a", "--scale", "1"), 2, "'uncertain': a label is"),
        ("grey", ("--labels", "nofile", "--scale", "1"), 2, "neither a list such as angry,happy,sad nor a text file"),
        ("grey", ("--labels", "a,b", "--scale", "1", "--input", "rgb"), 2, "has one channel. Give --input grey"),
        ("halves", ("--labels", "a,b", "--scale", "255"), 2, "give --outputs probabilities if they only need"),
        ("nans", ("--labels", "a,b", "--scale", "1"), 4, "its outputs are not finite"),
        ("two", ("--labels", "a,b", "--scale", "1"), 4, "its outputs have the shapes"),
        ("tiny", ("--labels", "a,b,c", "--scale", "1"), 4, "Expected a square of 32 to 224 pixels"),
        ("channels-first", ("--labels", "a,b,c", "--scale", "1"), 4, "channels come first"),
        ("missing", ("--labels", "a,b", "--scale", "1"), 4, "cannot be read"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_and_nothing_is_written(
    models: Path, command: Run, tmp_path: Path, name: str, options: tuple[str, ...], code: int, message: str
) -> None:
    done = command("fer-edge", "models", "wrap", models / f"{name}.tflite", *options, "--out", tmp_path / "m")
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_float_model_that_computes_something_else_fails_its_golden_faces(
    models: Path, command: Run, tmp_path: Path
) -> None:
    options = ("--labels", "a,b", "--scale", "255", "--out", tmp_path / "m")
    assert command("fer-edge", "models", "wrap", models / "grey.tflite", *options).returncode == 0
    manifest = json.loads((tmp_path / "m" / "model.json").read_text())
    manifest["preprocessing"]["scale"] = [200.0]  # as if this machine computed something else
    (tmp_path / "m" / "model.json").write_text(json.dumps(manifest))
    done = command("fer-edge", "models", "verify", tmp_path / "m")
    assert done.returncode == 4
    assert "outputs differ from the golden ones" in done.stderr
