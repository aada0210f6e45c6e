"""Load Keras models and run them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_edge.preprocess import MODEL_SIZE


def load_model(path: Path) -> keras.Model:
    """Load a `.keras` or `.h5` model that classifies grey faces.

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
