"""Write a Keras model in the formats of other tools: older Keras, and ONNX."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import keras

from fer_edge.errors import MissingExtra, ModelError
from fer_edge.silence import quiet
from fer_train.files import make_folder, write_whole

H5_FILE = "model.h5"
ARCHITECTURE_FILE = "architecture.json"
ONNX_FILE = "model.onnx"
WEIGHTS_FILE = "model.weights.h5"


def export_h5(model: keras.Model, folder: Path) -> None:
    """Write a model as one `.h5` file, and also as two files for architecture and weights.

    `keras.saving.load_model` reads the first. `keras.models.model_from_json` and then `load_weights` read the others.

    Args:
        model: any Keras model.
        folder: created if missing. The files are `model.h5`, `architecture.json` and `model.weights.h5`.

    Raises:
        ConfigError: the folder cannot be written.
    """
    make_folder(folder)
    with tempfile.TemporaryDirectory() as aside:
        with quiet():  # Keras warns that .h5 is the older format
            model.save(Path(aside) / H5_FILE)
        model.save_weights(Path(aside) / WEIGHTS_FILE)
        for name in (H5_FILE, WEIGHTS_FILE):
            write_whole(folder / name, (Path(aside) / name).read_bytes())
    write_whole(folder / ARCHITECTURE_FILE, (model.to_json(indent=2) + "\n").encode())


def export_onnx(model: keras.Model, folder: Path) -> Path:
    """Write a model as `model.onnx`, by Keras' own export, which calls tf2onnx.

    Input: levels 0..255, float32, shape (N, 48, 48, 1), or that of a model from elsewhere. Output: probabilities, shape
    (N, C).

    Args:
        model: a float32 model; Keras must run on TensorFlow.
        folder: created if missing.

    Returns:
        The file.

    Raises:
        MissingExtra: tf2onnx is not installed.
        ModelError: the model cannot be converted.
        ConfigError: the folder cannot be written.
    """
    if not find_spec("tf2onnx"):
        raise MissingExtra("tf2onnx", "onnx")
    make_folder(folder)
    levels = keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="float32", name="grey")  # any number of faces
    with tempfile.TemporaryDirectory() as aside:
        path = Path(aside) / ONNX_FILE
        try:
            with quiet():
                model.export(path, format="onnx", verbose=False, input_signature=[levels])
        except (ValueError, RuntimeError, TypeError) as error:
            raise ModelError(f"cannot be converted to ONNX ({str(error).splitlines()[0][:160]})") from error
        write_whole(folder / ONNX_FILE, path.read_bytes())
    return folder / ONNX_FILE
