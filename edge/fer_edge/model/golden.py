"""Self-test with golden faces: does this machine compute the same outputs as the one that made the bundle."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_edge.model.bundle import Bundle, verify_files
from fer_edge.model.classifier import Classifier

# This file of a bundle holds `inputs`, uint8 (N, H, W), grey faces, and `outputs`, int8 (K, N, C), of K families of
# kernels. The families round differently, which makes several steps at the last layer.
GOLDEN_FILE = "golden.npz"

# Outputs may differ by this many steps of 1/256 from those of one family: processors round differently, by one step.
TOLERANCE = 2


def self_test(bundle: Bundle) -> int:
    """Run the golden faces and compare the outputs.

    Returns:
        The largest difference of an output from the closest family of kernels, in steps of 1/256.

    Raises:
        ModelError: the file is missing or malformed, or the outputs differ too much.
    """
    inputs, outputs = _load(bundle)
    classifier = Classifier(bundle)
    answers = np.array([classifier.levels(face) for face in inputs])
    largest = int(np.abs(answers.astype(int) - outputs).max(axis=(1, 2)).min())
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


def _load(bundle: Bundle) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
    path = bundle.folder / GOLDEN_FILE
    height, width, _ = bundle.manifest.input_shape
    try:
        with np.load(path) as golden:
            inputs, outputs = golden["inputs"], golden["outputs"]
    except FileNotFoundError:
        raise ModelError(f"{path}: missing. Copy the whole bundle") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: is not a file of golden faces ({error})") from error
    expected = (len(inputs), len(bundle.manifest.labels))
    if inputs.shape[1:] != (height, width) or outputs.shape[1:] != expected or not outputs.size:
        raise ModelError(f"{path}: its faces and outputs do not fit this model")
    return inputs, outputs
