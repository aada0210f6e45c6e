"""Classify grey crops with an int8 TFLite model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_edge.model.bundle import Bundle
from fer_edge.model.interpreter import open_interpreter
from fer_edge.model.prior import prior_weights, reweight
from fer_edge.preprocess import CropCalibration, crop_face
from fer_edge.types import Frame, Image, Prediction, Probabilities, Track

_log = logging.getLogger(__name__)


class Classifier:
    """Classifies expressions with one model bundle."""

    def __init__(
        self, bundle: Bundle, crop_calibration: CropCalibration | None = None, threads: int = 1, prior: float = 0.0
    ) -> None:
        """Open the model and compare it with its manifest.

        Args:
            bundle: the model.
            crop_calibration: the detector's transform from box to crop; None for the box itself.
            threads: number of threads of the kernels.
            prior: power of the training prior by which probabilities are divided, 0..1; 0 does not change them.

        Raises:
            ModelError: the model's shapes or dtypes are not those in the manifest.
            MissingDependency: no TFLite runtime.
        """
        manifest = bundle.manifest
        base = crop_calibration or CropCalibration()
        self.labels = manifest.labels
        self._crop_calibration = CropCalibration(base.scale * (1 + 2 * manifest.crop_margin), base.dx, base.dy)
        try:
            self._interpreter = open_interpreter(bundle.model, threads)
            self._input = _only_tensor(self._interpreter.get_input_details(), (1, *manifest.input_shape), "input")
            self._output = _only_tensor(self._interpreter.get_output_details(), (1, len(manifest.labels)), "output")
        except ModelError as error:
            raise ModelError(f"{bundle.folder}: {error}") from error
        self.input_size = manifest.input_shape[0]
        self._lookup = _grey_to_int8(*self._input["quantization"])
        self._weights = _weights(bundle, prior)

    def classify(self, frame: Frame, tracks: Sequence[Track]) -> dict[int, Prediction]:
        """Return the prediction, by id, of each track that was seen in this frame."""
        return {
            track.id: self.predict(crop_face(frame.image, track.box, self._crop_calibration, self.input_size))
            for track in tracks
            if track.missed_s == 0
        }

    def predict(self, crop: Image) -> Prediction:
        """Classify one grey crop of shape (H, W), uint8, in the model's input size."""
        probabilities = self.probabilities(crop)
        best = int(probabilities.argmax())
        return Prediction(probabilities, self.labels[best], float(probabilities[best]), crop)

    def probabilities(self, crop: Image) -> Probabilities:
        """Probabilities, shape (C,), that sum to one, divided by the prior if that is configured."""
        scale, zero_point = self._output["quantization"]
        dequantized = np.maximum((self.levels(crop).astype(np.float32) - zero_point) * scale, 0)
        return reweight(dequantized, self._weights)

    def levels(self, crop: Image) -> npt.NDArray[np.int8]:
        """The model's raw int8 output, shape (C,)."""
        self._interpreter.set_tensor(self._input["index"], self._lookup[crop][None, :, :, None])
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"])[0], np.int8)


def _weights(bundle: Bundle, power: float) -> npt.NDArray[np.float32]:
    prior = bundle.manifest.prior
    if prior is None:
        if power:
            _log.warning(
                "%s: model.json has no prior, so [classifier] prior does nothing. Add it with fer-quantize --add-prior",
                bundle.folder,
            )
        return np.ones(len(bundle.manifest.labels), np.float32)
    return prior_weights(prior, power)


def _only_tensor(details: list[dict[str, Any]], shape: tuple[int, ...], what: str) -> dict[str, Any]:
    if len(details) != 1:
        raise ModelError(f"the model has {len(details)} {what}s, expected one")
    found = tuple(int(side) for side in details[0]["shape"])
    if found != shape:
        raise ModelError(f"the model's {what} has shape {found}, but model.json says {shape}")
    if details[0]["dtype"] is not np.int8:
        dtype = np.dtype(details[0]["dtype"])
        raise ModelError(f"the model's {what} is {dtype}, expected int8. Convert it with fer-quantize")
    return details[0]


def _grey_to_int8(scale: float, zero_point: int) -> npt.NDArray[np.int8]:
    """A table from grey level to the quantized input: round, then clip, then cast."""
    levels = np.rint(np.arange(256) / scale) + zero_point
    return np.asarray(np.clip(levels, -128, 127), np.int8)
