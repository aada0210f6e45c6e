"""Facial expression recognition on small computers.

    import cv2
    from fer_edge import Frame, Pipeline

    with Pipeline() as pipeline:
        for face in pipeline.process(Frame(cv2.imread("portrait.jpg"), still=True)).faces:
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
    from fer_edge.config import RunConfig, load_config
    from fer_edge.detectors import Detector
    from fer_edge.errors import (
        ConfigError,
        DataError,
        FerError,
        MissingDependency,
        MissingExtra,
        ModelError,
        SourceError,
    )
    from fer_edge.images import read_image
    from fer_edge.model.bundle import Bundle, find_bundle, load_bundle
    from fer_edge.model.classifier import Classifier
    from fer_edge.pipeline import Pipeline
    from fer_edge.preprocess import CropCalibration
    from fer_edge.run_stats import RunStats
    from fer_edge.sinks import Sink, StopRun
    from fer_edge.sources import Source, open_source
    from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace

# Before OpenCV is imported anywhere: a small file may claim to be a picture of gigabytes. 134 megapixels.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**27))
# What it cannot open or read is said in our own words.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

__version__ = version("fer-edge")

# Where each public name is defined. It is imported when it is first used, so that `import fer_edge` takes no time.
_HOMES = {
    "config": ("RunConfig", "load_config"),
    "detectors": ("Detector",),
    "errors": (
        "ConfigError",
        "DataError",
        "FerError",
        "MissingDependency",
        "MissingExtra",
        "ModelError",
        "SourceError",
    ),
    "images": ("read_image",),
    "model.bundle": ("Bundle", "find_bundle", "load_bundle"),
    "model.classifier": ("Classifier",),
    "pipeline": ("Pipeline",),
    "preprocess": ("CropCalibration",),
    "run_stats": ("RunStats",),
    "sinks": ("Sink", "StopRun"),
    "sources": ("Source", "open_source"),
    "types": ("FaceBox", "Frame", "FrameResult", "Prediction", "Track", "TrackedFace"),
}

__all__ = [
    "Bundle",
    "Classifier",
    "ConfigError",
    "CropCalibration",
    "DataError",
    "Detector",
    "FaceBox",
    "FerError",
    "Frame",
    "FrameResult",
    "MissingDependency",
    "MissingExtra",
    "ModelError",
    "Pipeline",
    "Prediction",
    "RunConfig",
    "RunStats",
    "Sink",
    "Source",
    "SourceError",
    "StopRun",
    "Track",
    "TrackedFace",
    "find_bundle",
    "load_bundle",
    "load_config",
    "open_source",
    "read_image",
]


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"fer_edge.{module}"), name)
    raise AttributeError(f"module 'fer_edge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
