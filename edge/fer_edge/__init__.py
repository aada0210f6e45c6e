"""Facial expression recognition on small computers.

The main loop, which `fer_edge.pipeline` runs:

    for frame in source:
        tracks = tracker.update(detector, frame)          # whole scan now and then, regions of interest between
        faces = smoother.update(tracks, classifier.classify(frame, tracks))
        result = FrameResult(frame, faces, timer.lap())
        for sink in sinks:
            sink.emit(result)
"""

import os
from importlib.metadata import version

# Before OpenCV is imported anywhere: a small file may claim to be a picture of gigabytes. 134 megapixels.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**27))
# What it cannot open or read is said in our own words.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

__version__ = version("fer-edge")
