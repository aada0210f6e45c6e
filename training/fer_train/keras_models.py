"""Keras models on disk: read them and ask them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_edge.preprocess import MODEL_SIZE


def load_model(path: Path) -> keras.Model:
    """Read a `.keras` or `.h5` model that eats grey faces.

    Raises:
        ModelError: it is missing, unreadable, or of another input shape.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file. Train one with fer-train fit")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):  # of which Keras says that it is not there
        raise ModelError(f"{path}: is not a usable Keras model (not the archive that a .keras file is)")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: is not a usable Keras model ({str(error).splitlines()[0][:160]})") from error
    shapes = (getattr(model, "input_shape", None), getattr(model, "output_shape", ()))
    if shapes[0] != (None, MODEL_SIZE, MODEL_SIZE, 1) or not isinstance(shapes[1], tuple) or len(shapes[1]) != 2:
        raise ModelError(
            f"{path}: goes from {shapes[0]} to {shapes[1]}, expected (None, {MODEL_SIZE}, {MODEL_SIZE}, 1) to "
            "(None, classes)"
        )
    return model


def predict(model: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Probabilities, shape (N, C), for grey faces of shape (N, 48, 48)."""
    return np.asarray(model.predict(images[..., None], batch_size=512, verbose=0), np.float32)
