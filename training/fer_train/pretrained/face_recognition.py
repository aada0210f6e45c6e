"""dlib's face recognition network as a start for trainings: its weights, and what its batch norms need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_train.architectures import build
from fer_train.architectures.face_resnet import BLOCKS, CHANNEL_MEANS, GREY_MEAN, SCALE
from fer_train.files import make_folder, require_new_folder, require_room, write_whole
from fer_train.pretrained.npm import NpmPackage, unpack
from fer_train.pretrained.quantized_weights import Floats, read_weights
from fer_train.runs.records import KERAS_FILE, RECORD_FILE

ARCHITECTURE = "resnet29-face"

_MANIFEST = "model/face_recognition_model-weights_manifest.json"
_WEIGHTS = "model/face_recognition_model.bin"
_LICENCE = "LICENSE"
# The package is MIT-licensed; the weights are dlib's, in the public domain.
FACE_API = NpmPackage(
    name="@vladmandic/face-api",
    version="1.7.15",
    sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
    files={
        _MANIFEST: "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
        _WEIGHTS: "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
        _LICENCE: "9a3442b79acaf4fbc7c2e07b7e2d8f84af9bb3871bf08a69d80304ab00640e9a",
    },
)

# Faces to measure the batch norms on, and how many of them are computed at once.
STATISTICS_FACES, _PART = 512, 64


def write_start(
    archive: bytes, source: str, faces: npt.NDArray[np.uint8], out: Path, package: NpmPackage = FACE_API
) -> None:
    """Write a model from whose weights trainings of `resnet29-face` can start, with its licence.

    It has a head of one class, so that no training takes it over.

    Args:
        archive: the package's.
        source: its name, for messages.
        faces: shape (N, 48, 48), grey: the batch norms are measured on up to 512 of them, evenly chosen.
        out: new folder.
        package: what is expected.

    Raises:
        FerError: the archive is another one.
        ConfigError: the folder cannot be written.
    """
    require_new_folder(out)
    files = unpack(package, archive, source)
    model = build(ARCHITECTURE, classes=1)
    load_weights(model, read_weights(files[_MANIFEST], files[_WEIGHTS]))
    chosen = faces[np.linspace(0, len(faces) - 1, min(STATISTICS_FACES, len(faces))).astype(int)]
    measure_batch_norms(model, chosen)
    make_folder(out)
    require_room(out, 4 * model.count_params())
    record = {
        "recipe": {"architecture": ARCHITECTURE},
        "source": {"package": package.name, "version": package.version, "sha256": package.sha256},
        "batch_norm_faces": len(chosen),
    }
    aside = out / "model.aside.keras"
    model.save(aside)
    write_whole(out / "LICENSE", files[_LICENCE])
    write_whole(out / RECORD_FILE, (json.dumps(record, indent=2) + "\n").encode())
    aside.replace(out / KERAS_FILE)


def load_weights(model: keras.Model, weights: Mapping[str, Floats]) -> None:
    """Give a `face_resnet` the published weights, in place.

    Each convolution is followed by a scale and a shift per channel. A batch norm with mean 0 and variance 1 does the
    same, so that the predictions are those of the published network; see `measure_batch_norms` before training it.

    Args:
        model: a `face_resnet`.
        weights: by the names of the package, such as `conv64_down/conv1/conv/filters`.

    Raises:
        ModelError: a weight is missing or has another shape.
    """
    for name, published in _names().items():
        conv, norm = model.get_layer(f"{name}_conv"), model.get_layer(f"{name}_norm")
        size = conv.kernel.shape
        channels = 3 if name == "stem" else size[2]
        filters = _take(weights, f"{published}/conv/filters", (*size[:2], channels, size[3]))
        bias, scale, shift = (
            _take(weights, f"{published}/{part}", size[3:]) for part in ("conv/bias", "scale/weights", "scale/biases")
        )
        if name == "stem":
            # Our grey input is centred on the mean of the three.
            offsets = (GREY_MEAN - np.array(CHANNEL_MEANS)) / SCALE
            bias = bias + (filters * offsets[:, None]).sum((0, 1, 2))
            filters = filters.sum(2, keepdims=True)
        conv.set_weights([filters])
        _set_norm(norm, scale, shift + scale * bias, np.zeros_like(scale), np.full_like(scale, 1 - norm.epsilon))


def measure_batch_norms(model: keras.Model, faces: npt.NDArray[np.uint8]) -> None:
    """Give each batch norm the statistics of its input over some faces, in place; predictions do not change.

    Scale and shift follow: a training, which uses the statistics of each batch, then starts from the same function.

    Args:
        model: has two batch norms or more.
        faces: shape (N, 48, 48), grey.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    inputs = keras.Model(model.input, [norm.input for norm in norms])
    parts = np.array_split(faces, -(-len(faces) // _PART))
    moments = [[_moments(values) for values in inputs.predict_on_batch(part[..., None])] for part in parts]
    shares = [len(part) / len(faces) for part in parts]
    for norm, *of_parts in zip(norms, *moments, strict=True):
        mean, square = np.tensordot(shares, of_parts, 1)
        gamma, beta, old_mean, old_variance = norm.get_weights()
        scale = gamma / np.sqrt(old_variance + norm.epsilon)
        _set_norm(norm, scale, beta - scale * old_mean, mean, np.maximum(square - mean**2, 0))


def _moments(values: keras.KerasTensor) -> npt.NDArray[np.float64]:
    """Mean and mean square of each channel, shape (2, C), of values of shape (N, H, W, C)."""
    exact = np.asarray(keras.ops.convert_to_numpy(values), np.float64)
    return np.array([exact.mean((0, 1, 2)), np.square(exact).mean((0, 1, 2))])


def _set_norm(
    norm: keras.layers.BatchNormalization,
    scale: Floats,
    shift: Floats,
    mean: npt.NDArray[np.floating],
    variance: npt.NDArray[np.floating],
) -> None:
    """Let a batch norm compute scale x + shift while its statistics are these."""
    norm.set_weights([scale * np.sqrt(variance + norm.epsilon), shift + scale * mean, mean, variance])


def _names() -> dict[str, str]:
    """Names of the convolutions in the package, by ours."""
    parts = (("first", "conv1"), ("second", "conv2"))
    blocks = {f"block{block}_{ours}": f"conv{block}/{theirs}" for block, _, _ in BLOCKS for ours, theirs in parts}
    return {"stem": "conv32_down"} | blocks


def _take(weights: Mapping[str, Floats], name: str, shape: tuple[int, ...]) -> Floats:
    if name not in weights or weights[name].shape != tuple(shape):
        found = f"has the shape {weights[name].shape}" if name in weights else "is missing"
        raise ModelError(f"the weight {name} {found}, expected {tuple(shape)}")
    return weights[name]
