"""Facial expression recognition on small computers.

    from fer_edge import Pipeline, load_frame

    with Pipeline() as pipeline:
        for face in pipeline.process(load_frame("portrait.jpg")).faces:
            print(face.label, face.confidence, face.box)

The main loop, which `Pipeline.run` is:

    for frame in source:
        tracks = tracker.update(detector, frame)          # full scans now and then, region searches between
        faces = smoother.update(tracks, classifier.classify(frame, tracks))
        result = FrameResult(frame, faces, timer.lap())
        for sink in sinks:
            sink.emit(result)
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_edge.config import (
        CameraConfig,
        ClassifierConfig,
        DetectorConfig,
        JsonLinesConfig,
        MqttConfig,
        RunConfig,
        ScreenConfig,
        SmoothingConfig,
        TrackerConfig,
        load_config,
    )
    from fer_edge.detectors import Detector
    from fer_edge.detectors.base import BaseDetector
    from fer_edge.errors import (
        ConfigError,
        DataError,
        FerError,
        MissingDependency,
        MissingExtra,
        ModelError,
        SourceError,
    )
    from fer_edge.images import load_frame
    from fer_edge.model.bundle import Bundle, find_bundle, load_bundle
    from fer_edge.model.classifier import Classifier
    from fer_edge.pipeline import Pipeline
    from fer_edge.preprocess import CropCalibration
    from fer_edge.run_stats import RunStats
    from fer_edge.sinks import Sink, StopRun
    from fer_edge.sources import Source, open_source
    from fer_edge.types import FaceBox, Frame, FrameResult, Image, Prediction, Probabilities, Track, TrackedFace

# OpenCV reads these variables when it is imported. A small file may claim to hold gigabytes, so images are limited to
# 134 megapixels.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**27))
# OpenCV's own messages are switched off, since ours say what cannot be opened or read.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# OpenCV takes a video for finished after this many packets of other streams. Its default, 4096, is 90 seconds of sound.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", str(2**24))

__version__ = version("fer-edge")

# This table says where each public name is defined. A module is imported at the first use of a name, so `import
# fer_edge` is fast.
_HOMES = {
    "config": (
        "CameraConfig",
        "ClassifierConfig",
        "DetectorConfig",
        "JsonLinesConfig",
        "MqttConfig",
        "RunConfig",
        "ScreenConfig",
        "SmoothingConfig",
        "TrackerConfig",
        "load_config",
    ),
    "detectors": ("Detector",),
    "detectors.base": ("BaseDetector",),
    "errors": (
        "ConfigError",
        "DataError",
        "FerError",
        "MissingDependency",
        "MissingExtra",
        "ModelError",
        "SourceError",
    ),
    "images": ("load_frame",),
    "model.bundle": ("Bundle", "find_bundle", "load_bundle"),
    "model.classifier": ("Classifier",),
    "pipeline": ("Pipeline",),
    "preprocess": ("CropCalibration",),
    "run_stats": ("RunStats",),
    "sinks": ("Sink", "StopRun"),
    "sources": ("Source", "open_source"),
    "types": ("FaceBox", "Frame", "FrameResult", "Image", "Prediction", "Probabilities", "Track", "TrackedFace"),
}

__all__ = [
    "BaseDetector",
    "Bundle",
    "CameraConfig",
    "Classifier",
    "ClassifierConfig",
    "ConfigError",
    "CropCalibration",
    "DataError",
    "Detector",
    "DetectorConfig",
    "FaceBox",
    "FerError",
    "Frame",
    "FrameResult",
    "Image",
    "JsonLinesConfig",
    "MissingDependency",
    "MissingExtra",
    "ModelError",
    "MqttConfig",
    "Pipeline",
    "Prediction",
    "Probabilities",
    "RunConfig",
    "RunStats",
    "ScreenConfig",
    "Sink",
    "SmoothingConfig",
    "Source",
    "SourceError",
    "StopRun",
    "Track",
    "TrackedFace",
    "TrackerConfig",
    "find_bundle",
    "load_bundle",
    "load_config",
    "load_frame",
    "open_source",
]


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"fer_edge.{module}"), name)
    raise AttributeError(f"module 'fer_edge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
