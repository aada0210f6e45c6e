"""fer-edge. A face counts as found in a frame if it is visible and was seen in this frame or the one before."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path

from benchmarks.peer_loops.measure import measure

from fer_edge.config import DetectorConfig, RunConfig
from fer_edge.pipeline import Pipeline
from fer_edge.sources.video import VideoSource
from fer_edge.types import Frame

# Pixels: the smallest face looked for, as `fer` has it.
SMALLEST = 50

name = sys.argv[4]
with VideoSource(Path(sys.argv[1])) as source:
    frames = iter(source)
    first = next(frames)
    detector = DetectorConfig.model_validate({"name": name, "min_face": SMALLEST})
    pipeline = Pipeline(RunConfig(detector=detector))

    def finds_face(frame: Frame) -> bool:
        """Whether a face was seen in this frame, or in the one before and moved along."""
        return any(face.track.missed_s < 1.5 / source.fps + 0.001 for face in pipeline.process(frame).faces)

    measure(chain([first], frames), finds_face, int(sys.argv[3]))
