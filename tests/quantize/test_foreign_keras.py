"""Keras models that were made elsewhere: small real ones, wrapped, converted and run by the runtime."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests import warm
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.labels import FER2013
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_train.data.augmentation import Augmentation

# As image_dataset_from_directory orders the classes, with CK+'s names.
ORDER = "anger,disgust,fear,happiness,neutral,sadness,surprise"
# Two models of another size, range and order, trained on composite faces; and what cannot be wrapped.
MAKE = """
from pathlib import Path
import keras, numpy as np
from keras import layers
from fer_edge.assets.composites import load_composites
from fer_edge.preprocess import resize
from fer_train.data.augmentation import Augmentation

keras.utils.set_random_seed(0)
order = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
composites = load_composites()
faces = np.repeat(np.array([composites[label] for label in order]), 40, axis=0)
faces = Augmentation(rotate_degrees=5, shift=0.03, erase=0).apply(faces, np.random.default_rng(0))
classes = np.repeat(np.arange(7), 40)

def train(name, size, channels, scaled, inside=(), softmax=True):
    x = np.repeat(scaled(np.array([resize(face, size) for face in faces], np.float32))[..., None], channels, axis=3)
    model = keras.Sequential([
        keras.Input((size, size, channels)), *inside, layers.AveragePooling2D(size // 16), layers.Flatten(),
        layers.Dense(32, activation="elu"), layers.Dense(7, activation="softmax" if softmax else None)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    model.compile(keras.optimizers.Adam(0.003), loss)
    model.fit(x, classes, epochs=30, verbose=0)
    model.save(Path(FOLDER, name))

train("grey.keras", 64, 1, lambda x: x / 255)
train("colour.h5", 96, 3, lambda x: x / 127.5 - 1, softmax=False)
inputs = keras.Input((48, 64, 1))
keras.Model(inputs, layers.Dense(7)(layers.Flatten()(inputs))).save(Path(FOLDER, "oblong.keras"))
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    warm.run_script(f"FOLDER = {str(folder)!r}\n{MAKE}")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "shape", "colour"),
    [
        ("grey.keras", ("--scale", 255), (64, 64, 1), "grey"),
        ("colour.h5", ("--mean", 127.5, "--scale", 127.5, "--input", "bgr"), (96, 96, 3), "bgr"),
    ],
)
def test_it_is_converted_and_reads_faces_in_the_runtime(
    command: Run,
    foreign: Path,
    tiny_data: Path,
    tmp_path: Path,
    name: str,
    options: tuple[object, ...],
    shape: tuple[int, ...],
    colour: str,
) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    done = command("fer-train", "wrap", foreign / name, "--labels", ORDER, *options, "--out", run)
    assert done.returncode == 0, done.stderr
    assert "7 of 7 composite faces get their own label" in done.stdout
    done = command(
        "fer-quantize", run, "--data", tiny_data, "--labels", "ferplus7", "--out", bundle, "--check",
        "--max-drop", 5, "--max-class-drop", 100, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = load_bundle(bundle).manifest
    assert (manifest.labels, manifest.training["scheme"]) == (FER2013, "ferplus7")
    assert manifest.input_shape == shape
    assert manifest.preprocessing.colour == colour
    assert manifest.licence == "unknown: the model was made elsewhere"
    assert set(manifest.prior or ()) == set(FER2013)
    assert len(set((manifest.prior or {}).values())) == 1, "nobody knows on what it was trained"
    assert_reads_faces(bundle)
    done = command("fer-quantize", bundle, "--data", tiny_data, "--labels", "ferplus7", "--check", "--max-drop", 5)
    assert "the float model scores" not in done.stdout + done.stderr


def assert_reads_faces(bundle: Path) -> None:
    composites = load_composites()
    classifier = Classifier(load_bundle(bundle))
    weak = Augmentation(rotate_degrees=5, shift=0.03, erase=0)
    right = [
        classifier.predict(classifier.fit(face)).label == label
        for label, composite in composites.items()
        for face in weak.apply(np.repeat(composite[None], 10, axis=0), np.random.default_rng(1))
    ]
    assert np.mean(right) > 0.9


@pytest.mark.slow
def test_the_record_says_what_it_was_made_of(command: Run, foreign: Path, tmp_path: Path) -> None:
    command("fer-train", "wrap", foreign / "grey.keras", "--labels", ORDER, "--scale", 255, "--out", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (record["scheme"], record["foreign"]["model"]) == ("fer2013", "grey.keras")
    assert len(record["foreign"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "labels", "options", "code", "said"),
    [
        ("grey.keras", "a,b", (), 2, "has 7 classes, but --labels names 2: a, b"),
        ("grey.keras", ORDER.replace("fear", "joy"), (), 2, "are not angry, disgust, fear"),
        ("grey.keras", ORDER, ("--input", "rgb"), 2, "--input rgb: the model's input has one channel"),
        ("grey.keras", ORDER, ("--mean", "1,2,3"), 2, "--mean: the model has 1 channels"),
        ("grey.keras", ORDER, ("--scale", "0"), 2, "--scale: must be greater than 0"),
        ("oblong.keras", ORDER, (), 4, "expected a square of 32 to 224 pixels with 1 or 3 channels"),
        ("none.keras", ORDER, (), 4, "no such file"),
        ("none.tflite", ORDER, (), 2, "fer-edge models wrap"),
    ],
)
def test_what_does_not_fit_is_one_line(
    command: Run, foreign: Path, tmp_path: Path, name: str, labels: str, options: tuple[str, ...], code: int, said: str
) -> None:
    done = command(
        "fer-train", "wrap", foreign / name, "--labels", labels, "--scale", 255, *options, "--out", tmp_path / "run"
    )
    assert done.returncode == code, done.stderr
    *notes, error = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert said in error
    assert all("classes are read as" in note for note in notes), done.stderr
    assert not (tmp_path / "run").exists()
