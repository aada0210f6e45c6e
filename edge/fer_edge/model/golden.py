"""Self-test with golden faces: does this machine compute the same outputs as the one that made the bundle."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ModelError
from fer_edge.model.bundle import Bundle, verify_files
from fer_edge.model.classifier import Classifier

# This file of a bundle holds `inputs`, uint8, faces as the model sees them: grey (N, H, W) or BGR (N, H, W, 3); and
# `outputs`, (K, N, C), of K families of kernels, in the model's dtype. The families round differently, which makes
# several steps at the last layer.
GOLDEN_FILE = "golden.npz"

# Outputs may differ by this many steps of 1/256 from those of one family: processors round differently, by one step.
# A step is one of an integer output, or 1/256 of a probability.
TOLERANCE = 2
# A composite face is grey. For a model that wants colour, its blue, green and red are this much of it.
_TINT = (0.7, 0.8, 1.0)


def make_golden(bundle: Bundle) -> bytes:
    """Return the content of `golden.npz`: the composite faces, and the model's outputs for them on this machine.

    Raises:
        ModelError: the model cannot be used.
    """
    families = (Classifier(bundle), Classifier(bundle, plain_kernels=True))
    faces = np.array([_as_seen(families[0].fit(face), bundle) for face in load_composites().values()])
    content = io.BytesIO()
    np.savez(content, inputs=faces, outputs=np.array([[one.outputs(face) for face in faces] for one in families]))
    return content.getvalue()


def self_test(bundle: Bundle) -> int:
    """Run the golden faces and compare the outputs.

    Returns:
        The largest difference of an output from the closest family of kernels, in steps of 1/256.

    Raises:
        ModelError: the file is missing or malformed, or the outputs differ too much.
    """
    inputs, outputs = _load(bundle)
    classifier = Classifier(bundle)
    answers = np.array([classifier.outputs(face) for face in inputs])
    steps = np.abs(_in_steps(answers, classifier) - _in_steps(outputs, classifier)).max(axis=(1, 2)).min()
    if not np.isfinite(steps):
        raise ModelError(f"{bundle.folder}: its outputs are not finite on this machine")
    largest = math.ceil(round(float(steps), 3))
    if largest > TOLERANCE:
        raise ModelError(
            f"{bundle.folder}: outputs differ from the golden ones by {largest} of 256 steps, more than {TOLERANCE}. "
            "Install another version of the TFLite runtime"
        )
    return largest


def verify(folder: Path) -> str:
    """Verify a bundle's hashes and run its self-test; return the result in one line.

    Raises:
        ModelError: a file is wrong. The message names it.
    """
    bundle = verify_files(folder)
    return f"{folder}: hashes agree; golden faces: off by {self_test(bundle)} of 256 steps at most"


def _as_seen(face: npt.NDArray[np.uint8], bundle: Bundle) -> npt.NDArray[np.uint8]:
    if bundle.manifest.preprocessing.colour == "grey":
        return face
    return np.asarray(face[:, :, None] * np.array(_TINT), np.uint8)


def _in_steps(outputs: npt.NDArray[Any], classifier: Classifier) -> npt.NDArray[np.float64]:
    is_whole = np.issubdtype(outputs.dtype, np.integer)
    return np.asarray(outputs if is_whole else 256 * classifier.read(outputs), np.float64)


def _load(bundle: Bundle) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    path = bundle.folder / GOLDEN_FILE
    height, width, _ = bundle.manifest.input_shape
    seen = (height, width) if bundle.manifest.preprocessing.colour == "grey" else (height, width, 3)
    try:
        with np.load(path) as golden:
            inputs, outputs = golden["inputs"], golden["outputs"]
    except FileNotFoundError:
        raise ModelError(f"{path}: missing. Copy the whole bundle") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: is not a file of golden faces ({error})") from error
    expected = (len(inputs), len(bundle.manifest.labels))
    if inputs.shape[1:] != seen or outputs.shape[1:] != expected or not outputs.size:
        raise ModelError(f"{path}: its faces and outputs do not fit this model")
    return inputs, outputs
