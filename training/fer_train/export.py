"""Write a Keras model in older formats that some tools still need."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras

from fer_edge.silence import quiet
from fer_train.files import make_folder, write_whole

H5_FILE = "model.h5"
ARCHITECTURE_FILE = "architecture.json"
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
