"""A model of any kind is opened with its labels, and answers probabilities; what does not fit is told by its path."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.bundles import make_bundle
from tests.mean_model import mean_model

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError, ModelError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.interpreter import open_interpreter
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.evaluation.predictors import open_predictor, predict_bundle, refuse_other_outputs  # noqa: E402
from fer_train.evaluation.tflite import real_answers  # noqa: E402
from fer_train.keras_models import load_model  # noqa: E402

FACES = np.array(list(load_composites().values()))
TINY = "ferplus7-tiny"


def keras_model(path: Path, classes: int = 7, activation: str | None = "softmax") -> Path:
    keras.utils.set_random_seed(0)
    image = keras.Input((48, 48, 1))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(12)(keras.layers.Rescaling(1 / 128)(image)))
    keras.Model(image, keras.layers.Dense(classes, activation=activation)(x)).save(path)
    return path


def recorded(path: Path, scheme: str) -> Path:
    path.with_name("training.json").write_text(json.dumps({"scheme": scheme}))
    return path


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises((ConfigError, ModelError)) as refused:
        open_predictor(*arguments, **options)
    return str(refused.value)


# What is opened


@pytest.mark.parametrize(("file", "labels"), [("model.keras", None), ("any.h5", "fer2013"), ("", None)])
def test_a_keras_model_has_the_labels_of_its_record_or_those_that_are_given(
    tmp_path: Path, file: str, labels: str | None
) -> None:
    """An empty name is that of the folder of its training."""
    path = recorded(keras_model(tmp_path / (file or "model.keras")), "ferplus7")
    name = str(tmp_path / file)
    opened = open_predictor(name, labels)
    assert (opened.name, opened.scheme) == (name, labels or "ferplus7")
    found = opened.predict(FACES)
    assert found.dtype == np.float32
    assert found.shape == (7, 7)
    kernel, bias = load_model(path).layers[-1].get_weights()
    powers = np.exp((FACES / 128).reshape(7, 4, 12, 4, 12).mean((2, 4)).reshape(7, 16) @ kernel + bias)
    assert found == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-4)
    assert found.std(axis=0).min() > 1e-3, "the faces differ"


def test_a_tflite_model_answers_with_rows_that_sum_to_one(tmp_path: Path) -> None:
    path = recorded(Path(shutil.copy(find_bundle(TINY) / "model.tflite", tmp_path / "any.tflite")), "ferplus7")
    opened = open_predictor(str(path))
    assert (opened.name, opened.scheme) == (str(path), "ferplus7")
    found, raw = opened.predict(FACES), real_answers(open_interpreter(path.read_bytes()), FACES)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert found == pytest.approx(raw / raw.sum(axis=1, keepdims=True), abs=1e-6)
    assert np.abs(raw.sum(axis=1) - 1).max() > 1e-3, "int8 does not"


def test_a_bundle_answers_as_the_runtime_does_with_the_prior_that_is_given(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "mine", base=TINY)
    answers = {}
    for name, prior in ((TINY, 0.0), (TINY, 0.5), (str(folder), 0.0)):
        opened = open_predictor(name, prior=prior) if prior else open_predictor(name)
        assert (opened.name, opened.scheme) == (name, "ferplus7")
        classifier = Classifier(load_bundle(find_bundle(TINY)), prior=prior)
        found = opened.predict(FACES)
        assert found == pytest.approx(np.array([classifier.probabilities(face) for face in FACES]), abs=1e-6)
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
        answers[name, prior] = found
    assert np.abs(answers[TINY, 0.5] - answers[TINY, 0]).max() > 0.001
    assert np.array_equal(answers[TINY, 0], answers[str(folder), 0])


def test_a_bundle_that_lies_beside_its_training_is_read_as_a_bundle(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "mine", base=TINY)
    recorded(keras_model(folder / "model.keras"), "fer2013")
    assert np.array_equal(open_predictor(str(folder)).predict(FACES), open_predictor(TINY).predict(FACES))


def test_faces_are_fitted_to_the_input_of_a_bundle(bundle_dir: Path) -> None:
    classifier = Classifier(load_bundle(bundle_dir))
    large = np.repeat(np.repeat(FACES, 2, axis=1), 2, axis=2)
    found = predict_bundle(classifier)(large)
    assert found == pytest.approx(np.array([classifier.probabilities(classifier.fit(face)) for face in large]))


# What is refused


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "any.tflite"])
def test_only_a_bundle_has_a_prior(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert refusal(str(path), prior=0.15) == (
        f"--prior: only a bundle has a prior, and {path} is none. Convert it with fer-quantize first"
    )


def test_the_folder_of_a_training_has_no_prior_either(tmp_path: Path) -> None:
    path = keras_model(tmp_path / "model.keras")
    assert f"and {path} is none" in refusal(str(tmp_path), prior=0.15)


def test_an_old_bundle_without_a_prior_is_told_how_to_add_it(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "mine", base=TINY, prior=None)
    assert (
        refusal(str(folder), prior=0.15) == f"{folder}: model.json has no prior. Add it with fer-quantize --add-prior"
    )
    assert open_predictor(str(folder)).scheme == "ferplus7", "nobody asked for one"


def test_a_training_that_is_not_finished_has_no_model(tmp_path: Path) -> None:
    (tmp_path / "unfinished").mkdir()
    assert refusal(str(tmp_path)) == f"{tmp_path}: its training is not finished. Repeat its command with --resume"


def test_a_model_that_nobody_recorded_wants_its_labels(tmp_path: Path) -> None:
    path = keras_model(tmp_path / "model.keras")
    assert refusal(str(path)) == f"{path}: no training record says which labels it was trained on. Give --labels"


def test_a_model_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = keras_model(tmp_path / "model.keras", 8)
    assert refusal(str(path), "fer2013") == f"{path}: has 8 classes, but fer2013 has 7"
    folder = find_bundle(TINY)
    assert refusal(TINY, "ferplus8") == f"{folder}: has 7 classes, but ferplus8 has 8"


def test_answers_are_asked_of_black_grey_and_white() -> None:
    asked = []

    def even(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        asked.append(faces)
        return np.full((len(faces), 7), 1 / 7, np.float32)

    refuse_other_outputs(Path("a"), even, "fer2013")
    (faces,) = asked
    assert faces.dtype == np.uint8
    assert faces.shape == (3, 48, 48)
    assert [np.unique(face).tolist() for face in faces] == [[0], [128], [255]]


@pytest.mark.parametrize(("total", "is_refused"), [(1.019, False), (0.981, False), (1.022, True), (0.978, True)])
def test_probabilities_sum_to_one_but_for_rounding(total: float, is_refused: bool) -> None:
    answers = np.full((3, 7), 1 / 7, np.float32)
    answers[1] *= total
    if is_refused:
        with pytest.raises(ModelError) as refused:
            refuse_other_outputs(Path("a.keras"), lambda _: answers, "fer2013")
        assert str(refused.value) == "a.keras: its outputs do not sum to one. End it with softmax, not with logits"
    else:
        refuse_other_outputs(Path("a.keras"), lambda _: answers, "fer2013")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_diverged_is_refused(value: float) -> None:
    answers = np.full((3, 7), 1 / 7, np.float32)
    answers[2, 3] = value
    with pytest.raises(ModelError) as refused:
        refuse_other_outputs(Path("a.keras"), lambda _: answers, "fer2013")
    assert str(refused.value) == "a.keras: its outputs are not finite: the training diverged. Lower --learning-rate"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (mean_model((1, 40, 40, 3)), "goes between (1, 40, 40, 3), (1, 3), expected (1, 48, 48, 1) to (1, classes)"),
        (
            mean_model((1, 48, 48, 1), outputs=2),
            "goes between (1, 48, 48, 1), (1, 1), (1, 1), expected (1, 48, 48, 1) to (1, classes)",
        ),
        (mean_model((1, 48, 48, 3)), "goes between (1, 48, 48, 3), (1, 3), expected (1, 48, 48, 1) to (1, classes)"),
        (
            mean_model((1, 48, 48, 1), "UINT8", (1 / 255, 0)),
            "its input has scale 0.003922, expected 1: unscaled grey levels",
        ),
        (
            mean_model((1, 48, 48, 1), "INT8", (0.98, -128)),
            "its input has scale 0.98, expected 1: unscaled grey levels",
        ),
        (mean_model((1, 48, 48, 1), "INT8", (0.995, -128)), "has 1 classes, but fer2013 has 7"),
        (mean_model((1, 48, 48, 1)), "has 1 classes, but fer2013 has 7"),
        (b"text", "not a TFLite model (no TFL3 mark): it is empty, truncated or something else"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_tflite_model_that_does_not_fit_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "model.tflite"
    if content:
        path.write_bytes(content)
    assert refusal(str(path), "fer2013") == f"{path}: {told}"


def test_a_missing_keras_model_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    assert refusal(str(path), "fer2013") == f"{path}: no such file. Train one with fer-train fit"
