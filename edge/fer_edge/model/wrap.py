"""Make a bundle of a foreign TFLite model, so that the runtime runs it as it runs ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError, ModelError, reason
from fer_edge.model.bundle import MODEL_FILE, Bundle
from fer_edge.model.bundle_writer import refuse_foreign, write_bundle
from fer_edge.model.classifier import DTYPES, Classifier
from fer_edge.model.golden import GOLDEN_FILE, make_golden
from fer_edge.model.interpreter import Interpreter, open_interpreter
from fer_edge.model.manifest import SCHEMA_VERSION, Manifest
from fer_edge.model.preprocessing import Colour, Outputs, kind_of_outputs, real_outputs
from fer_edge.validation import first_problem

# Width and height of a model's input, in pixels.
_SMALLEST, _LARGEST = 32, 224
# Ranges of real inputs that are usual, as mean and scale of grey levels: 0..255, 0..1 and -1..1.
_USUAL = ((0.0, 1.0), (0.0, 255.0), (127.5, 127.5))
# Names of classes are compared by these many letters, so that anger is angry, and happiness is happy.
_STEM = 3

_INTENDED_USE = "Not stated: the model was made elsewhere. Not for decisions about people."


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user says about a foreign model. None is found out where that is possible.

    Attributes:
        labels: in the order of its outputs.
        colour: of the crops that it was trained on; None for grey with one channel and RGB with three.
        mean: subtracted from a level, 0..255; one number, or one per channel. None for what the input's type tells.
        scale: by which it is divided then.
        outputs: what they are; None to find out.
        crop_margin: margin on each side of FER2013's crop, as a fraction of its width.
        licence: of the model.
        version: of the model.
    """

    labels: tuple[str, ...]
    colour: Colour | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    outputs: Outputs | None = None
    crop_margin: float = 0.0
    licence: str = "unknown: the model was made elsewhere"
    version: str = "1"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A bundle of a foreign model.

    Attributes:
        bundle: the bundle.
        dtype: of the model's input.
        known: labels that ours have too, as far as composite faces exist.
        same: how many of their composite faces the model gives that label.
    """

    bundle: Bundle
    dtype: str
    known: int
    same: int


def wrap(path: Path, out: Path, wish: Wish) -> Wrapped:
    """Write a bundle of a TFLite model that classifies faces.

    Args:
        path: the model: float32, int8 or uint8, channels last, one or three of them, 32 to 224 pixels.
        out: the folder to write; an older bundle there is replaced.
        wish: what is known about the model.

    Raises:
        ModelError: the model cannot be read or run, or is of another kind.
        ConfigError: something about the model must be said, or does not fit it; or `out` cannot be written.
    """
    out = out.absolute()
    refuse_foreign(out)
    content = _read(path)
    try:
        interpreter = open_interpreter(content)
        shape, entry = _input(interpreter)
        _require_outputs(interpreter, wish.labels)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    colour = input_colour(wish.colour, shape[2])
    mean, scale = _range(wish, entry)
    bundle = _bundle(out, content, wish, shape, {"colour": colour, "mean": mean, "scale": scale, "outputs": "logits"})
    outputs = wish.outputs or _find_outputs(path, bundle, interpreter)
    bundle = _bundle(out, content, wish, shape, {"colour": colour, "mean": mean, "scale": scale, "outputs": outputs})
    write_bundle(out, bundle.manifest, {MODEL_FILE: content, GOLDEN_FILE: make_golden(bundle)})
    known, same = _compare(bundle)
    return Wrapped(bundle, str(np.dtype(entry["dtype"])), known, same)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)})") from error


def _input(interpreter: Interpreter) -> tuple[tuple[int, int, int], dict[str, Any]]:
    """Height, width and channels of the model's input, and its description."""
    details = interpreter.get_input_details()
    shape = tuple(int(side) for side in details[0]["shape"])
    if len(details) != 1 or len(shape) != 4 or shape[0] != 1:
        found = ", ".join(str(tuple(map(int, entry["shape"]))) for entry in details)
        raise ModelError(f"its inputs have the shapes {found}. Expected one of (1, height, width, channels)")
    if shape[1] in {1, 3} and shape[3] not in {1, 3}:
        raise ModelError(f"its input has shape {shape}: channels come first. Convert it with channels last (NHWC)")
    _, height, width, channels = shape
    if height != width or not _SMALLEST <= height <= _LARGEST or channels not in {1, 3}:
        raise ModelError(
            f"its input has shape {shape}. Expected a square of {_SMALLEST} to {_LARGEST} pixels with 1 or 3 channels"
        )
    _require_dtype(details[0], "input")
    return (height, width, channels), details[0]


def _require_outputs(interpreter: Interpreter, labels: Sequence[str]) -> None:
    details = interpreter.get_output_details()
    shape = tuple(int(side) for side in details[0]["shape"])
    if len(details) != 1 or len(shape) != 2:
        found = ", ".join(str(tuple(map(int, entry["shape"]))) for entry in details)
        raise ModelError(f"its outputs have the shapes {found}. Expected one of (1, classes)")
    _require_dtype(details[0], "output")
    if shape[1] != len(labels):
        raise ModelError(f"it has {shape[1]} classes, but --labels names {len(labels)}: {', '.join(labels)}")


def _require_dtype(entry: dict[str, Any], what: str) -> None:
    if entry["dtype"] not in DTYPES:
        raise ModelError(f"its {what} is {np.dtype(entry['dtype'])}. Expected float32, int8 or uint8")


def input_colour(asked: Colour | None, channels: int) -> Colour:
    """The colour of the crops for a model with so many channels. Raises ConfigError if what was asked does not fit."""
    if asked in {"rgb", "bgr"} and channels == 1:
        raise ConfigError(f"--input {asked}: the model's input has one channel. Give --input grey, or leave it out")
    return asked or ("grey" if channels == 1 else "rgb")


def _range(wish: Wish, entry: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and scale as given, or those that fit the range of a quantized input."""
    if wish.scale:
        return wish.mean or (0.0,), wish.scale
    if wish.mean:
        raise ConfigError("--mean: give --scale too. A model sees (level - mean) / scale, with levels 0 to 255")
    step, zero_point = entry["quantization"]
    if step:
        limits = np.iinfo(np.dtype(entry["dtype"]))
        low, high = (limits.min - zero_point) * step, (limits.max - zero_point) * step
        for mean, scale in _USUAL:
            if np.allclose((low, high), ((0 - mean) / scale, (255 - mean) / scale), atol=0.02 * (high - low)):
                return (mean,), (scale,)
        raise ConfigError(f"the model's input goes from {low:.3g} to {high:.3g}: give --mean and --scale")
    raise ConfigError(
        "a float model does not tell which numbers it wants: give --scale 1 for grey levels 0 to 255, --scale 255 for "
        "0 to 1, --mean 127.5 --scale 127.5 for -1 to 1, or the mean and the deviation that it was trained with"
    )


def _bundle(
    out: Path, content: bytes, wish: Wish, shape: tuple[int, int, int], preprocessing: dict[str, Any]
) -> Bundle:
    try:
        manifest = Manifest.model_validate(
            {
                "schema_version": SCHEMA_VERSION,
                "name": out.name,
                "version": wish.version,
                "labels": wish.labels,
                "input_shape": shape,
                "preprocessing": preprocessing,
                "crop_margin": wish.crop_margin,
                "files": {},
                "source_revision": "unknown",
                "licence": wish.licence,
                "intended_use": _INTENDED_USE,
            }
        )
    except ValidationError as error:
        raise ConfigError("{}: {}".format(*first_problem(error, Manifest))) from error
    return Bundle(out, manifest, content)


def _find_outputs(path: Path, bundle: Bundle, interpreter: Interpreter) -> Outputs:
    """Run the model on the composite faces, and look at what it gives."""
    quantization = interpreter.get_output_details()[0]["quantization"]
    classifier = Classifier(bundle)
    raw = np.array([classifier.outputs(classifier.fit(face)) for face in load_composites().values()])
    values: npt.NDArray[np.float32] = real_outputs(raw, quantization)
    if not np.isfinite(values).all():
        raise ModelError(f"{path}: its outputs are not finite. Check --mean and --scale")
    if kind := kind_of_outputs(values):
        return kind
    raise ConfigError(
        f"{path}: its outputs for a face sum to {values[0].sum():.2f}: give --outputs probabilities if they only need "
        "to be scaled, or --outputs logits if they need a softmax"
    )


def _compare(bundle: Bundle) -> tuple[int, int]:
    """Of the composite faces whose label the model has: how many there are, and how many it gives that label."""
    classifier = Classifier(bundle)
    stems = {label.lower()[:_STEM] for label in bundle.manifest.labels}
    faces = {label: face for label, face in load_composites().items() if label[:_STEM] in stems}
    read = {label: classifier.predict(classifier.fit(face)).label.lower() for label, face in faces.items()}
    return len(faces), sum(label[:_STEM] == answer[:_STEM] for label, answer in read.items())
