"""Classify crops of faces with a TFLite model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_edge.model.bundle import Bundle
from fer_edge.model.interpreter import open_interpreter
from fer_edge.model.preprocessing import Preprocessing, input_table, real_outputs, to_probabilities
from fer_edge.model.prior import prior_weights, reweight
from fer_edge.preprocess import CropCalibration, crop_face, resize, to_grey
from fer_edge.types import Frame, Image, Prediction, Probabilities, Track

# Types that a model's input and output may have.
DTYPES = (np.int8, np.uint8, np.float32)

_log = logging.getLogger(__name__)


class Classifier:
    """Classifies expressions with one model bundle."""

    def __init__(
        self,
        bundle: Bundle,
        crop_calibration: CropCalibration | None = None,
        threads: int = 1,
        prior: float = 0.0,
        *,
        plain_kernels: bool = False,
    ) -> None:
        """Open the model and compare it with its manifest.

        Args:
            bundle: the model.
            crop_calibration: the detector's transform from box to crop; None for the box itself.
            threads: number of threads of the kernels.
            prior: power of the training prior by which probabilities are divided, 0..1; 0 does not change them.
            plain_kernels: run it without the runtime's fast kernels; see `open_interpreter`.

        Raises:
            ModelError: the model's shapes or dtypes are not those in the manifest.
            MissingDependency: no TFLite runtime.
        """
        manifest = bundle.manifest
        base = crop_calibration or CropCalibration()
        self.labels = manifest.labels
        self.input_size = manifest.input_shape[0]
        self._preprocessing = manifest.preprocessing
        self._crop_calibration = CropCalibration(base.scale * (1 + 2 * manifest.crop_margin), base.dx, base.dy)
        try:
            self._interpreter = open_interpreter(bundle.model, threads, plain_kernels=plain_kernels)
            self._input = only_tensor(self._interpreter.get_input_details(), (1, *manifest.input_shape), "input")
            self._output = only_tensor(self._interpreter.get_output_details(), (1, len(manifest.labels)), "output")
        except ModelError as error:
            raise ModelError(f"{bundle.folder}: {error}") from error
        self._table = input_table(
            self._preprocessing, manifest.input_shape[2], self._input["dtype"], self._input["quantization"]
        )
        self._weights = _weights(bundle, prior)

    def classify(self, frame: Frame, tracks: Sequence[Track]) -> dict[int, Prediction]:
        """Return the prediction, by id, of each track that was seen in this frame."""
        in_colour = self._preprocessing.colour != "grey"
        return {
            track.id: self.predict(
                crop_face(frame.image, track.box, self._crop_calibration, self.input_size, in_colour=in_colour)
            )
            for track in tracks
            if track.missed_s == 0
        }

    def predict(self, crop: Image) -> Prediction:
        """Classify one crop in the model's input size: uint8, grey (H, W) or BGR (H, W, 3)."""
        probabilities = self.probabilities(crop)
        best = int(probabilities.argmax())
        return Prediction(probabilities, self.labels[best], float(probabilities[best]), to_grey(crop))

    def probabilities(self, crop: Image) -> Probabilities:
        """Probabilities, shape (C,), that sum to one, divided by the prior if that is configured."""
        return reweight(self.read(self.outputs(crop)), self._weights)

    def read(self, outputs: npt.NDArray[Any]) -> Probabilities:
        """Probabilities of raw outputs, shape (..., C), before the prior; they sum to one but for rounding."""
        return to_probabilities(real_outputs(outputs, self._output["quantization"]), self._preprocessing.outputs)

    def outputs(self, crop: Image) -> npt.NDArray[Any]:
        """The model's raw output for a crop, shape (C,), in its own dtype."""
        self._interpreter.set_tensor(self._input["index"], _model_input(crop, self._preprocessing, self._table))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"])[0])

    def fit(self, face: Image) -> Image:
        """A face that is cropped already, shape (H, W), in the model's input size."""
        return resize(face, self.input_size)


def _model_input(crop: Image, preprocessing: Preprocessing, table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The model's input, shape (1, H, W, channels), from a grey (H, W) or a BGR (H, W, 3) crop and `input_table`."""
    channels = table.shape[1]
    if crop.ndim == 2 and channels == 3:
        crop = np.asarray(cv2.cvtColor(crop, cv2.COLOR_GRAY2BGR), np.uint8)
    elif preprocessing.colour == "rgb":
        crop = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), np.uint8)
    return cv2.LUT(crop, table[:, None]).reshape(1, *crop.shape[:2], channels)


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


def only_tensor(details: list[dict[str, Any]], shape: tuple[int, ...], what: str) -> dict[str, Any]:
    """The description of a model's only input or output.

    Args:
        details: as the interpreter gives them.
        shape: that it must have.
        what: `input` or `output`, for the message.

    Raises:
        ModelError: there are several, or its shape or dtype cannot be used.
    """
    if len(details) != 1:
        raise ModelError(f"the model has {len(details)} {what}s, expected one")
    found = tuple(int(side) for side in details[0]["shape"])
    if found != shape:
        raise ModelError(f"the model's {what} has shape {found}, but model.json says {shape}")
    if details[0]["dtype"] not in DTYPES:
        raise ModelError(f"the model's {what} is {np.dtype(details[0]['dtype'])}, expected int8, uint8 or float32")
    return details[0]
