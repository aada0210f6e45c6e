"""Load Keras and its backend without their log output."""

from __future__ import annotations

import os

from fer_edge.errors import MissingExtra
from fer_edge.silence import quiet


def load_keras(backend: str | None = None) -> None:
    """Import Keras.

    Args:
        backend: `tensorflow`, `jax` or `torch`; None for the one of KERAS_BACKEND or of Keras' own configuration.

    Raises:
        MissingExtra: Keras or the backend is not installed.
    """
    if backend:
        os.environ["KERAS_BACKEND"] = backend
    # Always set this value: JAX, which TensorFlow imports, lowers it for all child processes.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        with quiet():
            import keras  # noqa: F401, PLC0415 - slow to load, so only when it is needed
    except ImportError as error:
        raise MissingExtra(error.name or "keras", "train", "or the backend that KERAS_BACKEND names") from error
