"""Counts and times of a run."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from fer_edge.types import FrameResult

# Latencies are kept for this many frames: five minutes at 30 frames per second.
_RECENT = 9000


@dataclass(slots=True)
class RunStats:
    """Counts and times of a run.

    Attributes:
        frames: processed frames.
        seconds: duration of the run.
        faces: number of different faces.
        lost: frames that a sink failed to write, by the sink's description.
        latencies: seconds from capture (for a file: from reading) to labels, of the latest frames.
    """

    frames: int = 0
    seconds: float = 0.0
    faces: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _began: float = 0.0

    def begin(self) -> None:
        """Set the start of the run to now."""
        self._began = time.monotonic()

    def count(self, result: FrameResult, latency: float) -> None:
        """Add one frame, whose labels took `latency` seconds."""
        self.frames += 1
        self.seconds = time.monotonic() - self._began
        self.faces = max([self.faces, *(face.track.id for face in result.faces)])
        self.latencies.append(latency)

    @property
    def fps(self) -> float:
        """Frames per second over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0

    def latency_ms(self, percentile: float) -> float:
        """A percentile of the latency of the latest frames, in milliseconds; 0 without frames."""
        return 1000 * float(np.percentile(self.latencies, percentile)) if self.latencies else 0.0
