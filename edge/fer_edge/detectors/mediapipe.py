"""MediaPipe's BlazeFace (Bazarevsky et al., 2019): a small network that also finds tilted and half-turned faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer_edge.config import DetectorConfig
from fer_edge.errors import ConfigError, MissingDependency, MissingExtra
from fer_edge.geometry import clip, expand
from fer_edge.preprocess import CropCalibration
from fer_edge.silence import quiet
from fer_edge.types import FaceBox, Image

# How much larger a region is than the tracker asks for: the network wants to see what is around a face.
_CONTEXT = 1.8
# That region is scaled to this many pixels at most: no network in use takes more.
_NEAR_SIDE = 192
# mediapipe's numbers for the models it brings: for faces within 2 and within 5 metres.
_SHORT, _FULL = 0, 1


class MediaPipeDetector:
    """Faces by BlazeFace, with the tilt of each head from its eyes."""

    # Its networks answer nothing below `min_score`; no score was measured that is never wrong.
    credible, certain = 0.0, math.inf
    # Between the medians over pasted Training faces (1.20 and 1.15 for its two models) and those against the cascade's
    # crops in a real video (1.09 and 1.06): the box is tighter than FER2013's crop, and sits lower.
    framing = CropCalibration(scale=1.16, dx=0.0, dy=-0.09)

    def __init__(self, config: DetectorConfig) -> None:
        """Load the network.

        Raises:
            MissingExtra: mediapipe is not installed.
            MissingDependency: this mediapipe brings no model, and none is configured.
            ConfigError: the configured model cannot be used.
        """
        self._scan_width = config.scan_width
        with quiet():
            self._far, self._near = _open(config)
            for network in (self._far, self._near):
                network.find(np.zeros((64, 64, 3), np.uint8))  # the first pass says much on stderr

    def close(self) -> None:
        """Close the networks: left to the end of Python, mediapipe 1 complains."""
        with quiet():
            for network in {self._far, self._near}:
                network.close()

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        """The whole frame at once."""
        return (FaceBox(0, 0, width, height),)

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:  # noqa: ARG002 - all at once
        """Search the whole picture, scaled to the configured width."""
        return _search(self._far, image, min(self._scan_width / image.shape[1], 1.0))

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        """Search where a face should be; one far away is large there, so the short-range model does."""
        region = clip(expand(expected, reach * _CONTEXT), image.shape[1], image.shape[0])
        left, top = int(region.x), int(region.y)
        part = image[top : int(region.y + region.height), left : int(region.x + region.width)]
        if not part.size:
            return []
        found = _search(self._near, part, min(_NEAR_SIDE / max(part.shape[:2]), 1.0))
        return [replace(box, x=box.x + left, y=box.y + top) for box in found]


def _search(network: _Solutions | _Tasks, image: Image, scale: float) -> list[FaceBox]:
    """Search a picture after scaling it; boxes in pixels of the picture given."""
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    rgb = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)
    x, y = image.shape[1] / size[0], image.shape[0] / size[1]
    return [
        replace(box, x=box.x * x, y=box.y * y, width=box.width * x, height=box.height * y) for box in network.find(rgb)
    ]


def _open(config: DetectorConfig) -> tuple[_Solutions | _Tasks, _Solutions | _Tasks]:
    """Open what searches whole pictures and what searches near: one configured model, or two bundled ones."""
    if find_spec("mediapipe") is None:
        raise MissingExtra("mediapipe", "mediapipe")
    try:
        import mediapipe  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise MissingDependency(
            f"mediapipe cannot be imported ({error}). Mend: pip install --force-reinstall 'fer-edge[mediapipe]'"
        ) from error
    if config.model is not None:
        configured = _Tasks(mediapipe, config.model, config.min_score)
        return configured, configured
    if not hasattr(mediapipe, "solutions"):
        raise MissingDependency(
            f"mediapipe {mediapipe.__version__} brings no face model. Mend: pip install 'mediapipe==0.10.18' "
            "(Python 3.12 at the latest), or set detector.model to a .tflite file of BlazeFace"
        )
    near = _Solutions(mediapipe, _SHORT, config.min_score)
    return (_Solutions(mediapipe, _FULL, config.min_score) if config.range == "full" else near), near


class _Solutions:
    """The interface of mediapipe 0.10, which brings its models along."""

    def __init__(self, mediapipe: Any, model: int, min_score: float) -> None:  # noqa: ANN401 - it ships no types
        self._network = mediapipe.solutions.face_detection.FaceDetection(
            model_selection=model, min_detection_confidence=min_score
        )

    def find(self, rgb: Image) -> list[FaceBox]:
        height, width = rgb.shape[:2]
        faces = []
        for found in self._network.process(rgb).detections or ():
            box, eyes = found.location_data.relative_bounding_box, found.location_data.relative_keypoints
            sides = (box.xmin * width, box.ymin * height, box.width * width, box.height * height)
            faces.append(FaceBox(*sides, score=found.score[0], roll=_roll(eyes, width, height)))
        return faces

    def close(self) -> None:
        self._network.close()


class _Tasks:
    """The interface that mediapipe 1 has alone: it takes the model from a file."""

    def __init__(self, mediapipe: Any, model: Path, min_score: float) -> None:  # noqa: ANN401 - it ships no types
        from mediapipe.tasks.python import BaseOptions, vision  # noqa: PLC0415

        if not model.is_file():
            raise ConfigError(f"detector.model: {model}: no such file")
        try:
            base = BaseOptions(model_asset_buffer=model.read_bytes())
            options = vision.FaceDetectorOptions(base_options=base, min_detection_confidence=min_score)
            self._network = vision.FaceDetector.create_from_options(options)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(f"detector.model: {model}: is no face detector that mediapipe can use") from error
        self._picture = partial(mediapipe.Image, mediapipe.ImageFormat.SRGB)

    def find(self, rgb: Image) -> list[FaceBox]:
        height, width = rgb.shape[:2]
        faces = []
        for found in self._network.detect(self._picture(rgb)).detections:
            box = found.bounding_box
            roll = _roll(found.keypoints, width, height)
            score = found.categories[0].score
            faces.append(FaceBox(box.origin_x, box.origin_y, box.width, box.height, score, roll))
        return faces

    def close(self) -> None:
        self._network.close()


def _roll(eyes: Sequence[Any], width: int, height: int) -> float:
    """Degrees by which the line of the eyes, the first two key points, is turned clockwise."""
    return math.degrees(math.atan2((eyes[1].y - eyes[0].y) * height, (eyes[1].x - eyes[0].x) * width))
