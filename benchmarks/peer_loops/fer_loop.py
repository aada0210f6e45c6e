"""The `fer` package, as its README uses it."""

from __future__ import annotations

import sys

from benchmarks.peer_loops.measure import measure, read_clip
from fer.fer import FER

detector = FER()
measure(read_clip(sys.argv[1]), lambda image: bool(detector.detect_emotions(image)), int(sys.argv[3]))
