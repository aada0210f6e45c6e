"""What a run did, up to now."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from fer_edge.types import FrameResult

# Frames whose latency is remembered: five minutes at 30 a second.
_RECENT = 9000


@dataclass(slots=True)
class RunStats:
    """Counts and times of a run."""

    frames: int = 0
    seconds: float = 0.0
    # Different faces: ids count from 1.
    faces: int = 0
    # Frames that a sink could not take, by the sink's description.
    lost: dict[str, int] = field(default_factory=dict)
    # Seconds from a frame's capture (a file's: its reading) to its labels, of the latest frames.
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _began: float = 0.0

    def begin(self) -> None:
        """The run begins now."""
        self._began = time.monotonic()

    def count(self, result: FrameResult, latency: float) -> None:
        """Add one frame, whose labels took `latency` seconds."""
        self.frames += 1
        self.seconds = time.monotonic() - self._began
        self.faces = max([self.faces, *(face.track.id for face in result.faces)])
        self.latencies.append(latency)

    @property
    def fps(self) -> float:
        """Frames a second, over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0

    def latency_ms(self, percentile: float) -> float:
        """Milliseconds within which this percentage of the latest frames had their labels; 0 without frames."""
        return 1000 * float(np.percentile(self.latencies, percentile)) if self.latencies else 0.0
