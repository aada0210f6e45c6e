"""Open a model of any kind (Keras, TFLite or bundle) that classifies grey faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ConfigError, ModelError, reason
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.interpreter import open_interpreter
from fer_edge.model.manifest import MANIFEST_FILE
from fer_edge.preprocess import MODEL_SIZE
from fer_train.backend import load_keras
from fer_train.data.datasets import LABELS, Scheme
from fer_train.evaluation.tflite import real_answers
from fer_train.runs.records import find_scheme, model_in, training_record

# A function that returns probabilities, shape (N, C), for grey faces, shape (N, 48, 48).
Predict = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model of any kind.

    Attributes:
        name: the name or path that the user gave.
        scheme: the label set of its outputs.
        predict: the function that classifies faces.
    """

    name: str
    scheme: Scheme
    predict: Predict


def open_predictor(name: str, labels: str | None = None, prior: float = 0.0) -> Predictor:
    """Open a model, and find its label set.

    Args:
        name: a `.keras`, `.h5` or `.tflite` file; the folder of a training; a bundle's folder, or the name of a
            shipped one. Its input must be grey levels from 0 to 255, its output probabilities.
        labels: name of the label set; None for the one that the model was trained on.
        prior: power of the training prior by which probabilities are divided, as `[classifier] prior` in the runtime.

    Raises:
        ModelError: it is missing or cannot be used, or its classes are not those of the labels.
        ConfigError: its labels or its prior are unknown, or its training is not finished.
    """
    path = Path(name)
    if path.is_dir() and not (path / MANIFEST_FILE).is_file() and model_in(path).is_file():
        path = model_in(path)
    if prior and path.suffix in {".keras", ".h5", ".tflite"}:
        raise ConfigError(f"--prior: only a bundle has a prior, and {path} is none. Convert it with fer-quantize first")
    if path.suffix in {".keras", ".h5"}:
        record, predict = training_record(path), _open_keras(path)
    elif path.suffix == ".tflite":
        record, predict = training_record(path), _open_tflite(path)
    else:
        path = find_bundle(name)
        bundle = load_bundle(path)
        if prior and bundle.manifest.prior is None:
            raise ConfigError(f"{path}: model.json has no prior. Add it with fer-quantize --add-prior")
        record, predict = bundle.manifest.training, predict_bundle(Classifier(bundle, prior=prior))
    scheme = find_scheme(path, labels, record)
    refuse_other_outputs(path, predict, scheme)
    return Predictor(name, scheme, lambda images: _normalised(predict(images)))


def predict_bundle(classifier: Classifier) -> Predict:
    """The predictions of a device: those of the runtime's own classifier."""
    return lambda images: np.array([classifier.probabilities(classifier.fit(image)) for image in images])


def refuse_other_outputs(path: Path, predict: Predict, scheme: Scheme) -> None:
    """Raise ModelError unless the model gives one probability per class."""
    greys = np.repeat(np.array([0, 128, 255], np.uint8), MODEL_SIZE**2).reshape(-1, MODEL_SIZE, MODEL_SIZE)
    answers = predict(greys)
    if answers.shape[1] != len(LABELS[scheme]):
        raise ModelError(f"{path}: has {answers.shape[1]} classes, but {scheme} has {len(LABELS[scheme])}")
    if not np.isfinite(answers).all():
        raise ModelError(f"{path}: its outputs are not finite: the training diverged. Lower --learning-rate")
    if not np.allclose(answers.sum(axis=1), 1, atol=0.02):
        raise ModelError(f"{path}: its outputs do not sum to one. End it with softmax, not with logits")


def _normalised(answers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale rows to sum to one, which int8 rounding may change, as the runtime's classifier does."""
    return np.asarray(answers / answers.sum(axis=1, keepdims=True), np.float32)


def _open_keras(path: Path) -> Predict:
    load_keras()
    from fer_train.keras_models import load_model, predict  # noqa: PLC0415 - Keras is slow to load, so only where it is needed

    model = load_model(path)
    return lambda images: predict(model, images)


def _open_tflite(path: Path) -> Predict:
    try:
        interpreter = open_interpreter(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)})") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    shapes = [tuple(int(side) for side in entry["shape"]) for entry in (*inputs, *outputs)]
    if len(shapes) != 2 or shapes[0] != (1, MODEL_SIZE, MODEL_SIZE, 1) or len(shapes[1]) != 2:
        raise ModelError(
            f"{path}: goes between {', '.join(map(str, shapes))}, expected (1, {MODEL_SIZE}, {MODEL_SIZE}, 1) to "
            "(1, classes)"
        )
    scale = inputs[0]["quantization"][0]
    if scale and not np.isclose(scale, 1, atol=0.01):
        raise ModelError(f"{path}: its input has scale {scale:.4g}, expected 1: unscaled grey levels")
    return lambda images: real_answers(interpreter, images)
