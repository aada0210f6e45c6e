"""Load Keras models and run them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_edge.preprocess import MODEL_SIZE
from fer_train.model_input import model_input

# The name of a Keras model that was made elsewhere, and now takes levels and gives probabilities as ours do.
ADAPTED = "foreign"
# Sides of an input in pixels, and numbers of its channels.
_SIDES, _CHANNELS = range(32, 225), (1, 3)


def load_model(path: Path) -> keras.Model:
    """Load a `.keras` or `.h5` model of ours, or one that `foreign.adapt` made like ours.

    Raises:
        ModelError: it is missing or unreadable, or has another input or output shape.
    """
    model = load_any_model(path)
    if model.input_shape[1:] != (MODEL_SIZE, MODEL_SIZE, 1) and model.name != ADAPTED:
        raise ModelError(
            f"{path}: goes from {model.input_shape} to {model.output_shape}, expected (None, {MODEL_SIZE}, "
            f"{MODEL_SIZE}, 1) to (None, classes). For a model from elsewhere: fer-train wrap"
        )
    return model


def load_any_model(path: Path) -> keras.Model:
    """Load a `.keras` or `.h5` model from anywhere that classifies square pictures.

    Raises:
        ModelError: it is missing or unreadable, or has another input or output shape.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file. Train one with fer-train fit")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):  # Keras would say that it does not exist
        raise ModelError(f"{path}: is not a usable Keras model (not the archive that a .keras file is)")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: is not a usable Keras model ({str(error).splitlines()[0][:160]})") from error
    shapes = (getattr(model, "input_shape", None), getattr(model, "output_shape", None))
    if not _takes_faces(shapes[0]) or not isinstance(shapes[1], tuple) or len(shapes[1]) != 2:
        raise ModelError(
            f"{path}: goes from {shapes[0]} to {shapes[1]}, expected a square of {_SIDES[0]} to {_SIDES[-1]} pixels "
            "with 1 or 3 channels, to (None, classes)"
        )
    return model


def _takes_faces(shape: object) -> bool:
    """Whether an input has the shape (any number, side, side, channels)."""
    if not isinstance(shape, tuple) or len(shape) != 4:
        return False
    _, height, width, channels = shape
    return height == width and height in _SIDES and channels in _CHANNELS


def predict(model: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Probabilities, shape (N, C), for grey faces of shape (N, 48, 48)."""
    faces = model_input(images, model.input_shape[1:])
    return np.asarray(model.predict(faces, batch_size=512, verbose=0), np.float32)
