"""Facial expression recognition on small computers.

The main loop, which `fer_edge.pipeline` runs:

    for frame in source:
        tracks = tracker.update(detector, frame)          # whole scan now and then, regions of interest between
        faces = smoother.update(tracks, classifier.classify(frame, tracks))
        result = FrameResult(frame, faces, timer.lap())
        for sink in sinks:
            sink.emit(result)
"""

from importlib.metadata import version

__version__ = version("fer-edge")
