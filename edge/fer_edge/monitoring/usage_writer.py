"""Measure sampled faces and write the minutes of a usage record, in a thread of its own."""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from fer_edge.device.thermal import read_heat
from fer_edge.model.reference import Reference
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.drift_watch import DriftWatch
from fer_edge.monitoring.expected_accuracy import FEATURE, chance_right
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import UsageStore
from fer_edge.sinks import Sink
from fer_edge.types import TrackedFace

_log = logging.getLogger(__name__)

# At most this many minutes wait while the disk is full or the file is locked. Then new ones are added to the last. Of
# faces, at most so many batches wait.
_MOST_WAITING = 60


class UsageWriter(threading.Thread):
    """Works in order; keeps minutes while they cannot be written, and logs a failure once."""

    def __init__(self, sink: Sink, store: UsageStore, reference: Reference | None) -> None:
        super().__init__(name="usage record", daemon=True)
        self._sink = sink
        self._store = store
        self._estimate = reference.estimate if reference else None
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._waiting: list[tuple[int, Period]] = []
        self.drift = DriftWatch(store.path, reference)

    def measure(self, period: Period, faces: Sequence[TrackedFace]) -> None:
        """Add the features of faces to a period that is not written yet. A writer that is held up leaves them out."""
        if self._tasks.qsize() < _MOST_WAITING:
            self._tasks.put(partial(self._measure, period, faces))

    def put(self, start: int, period: Period) -> None:
        """Add one minute."""
        self._tasks.put(partial(self._add, start, period))

    def finish(self) -> None:
        """Write the waiting minutes if possible, and end."""
        self._tasks.put(None)
        self.join(timeout=10)

    def run(self) -> None:
        """Work until the end. What an earlier run recorded tells the drift at once."""
        self.drift.update()
        while task := self._tasks.get():
            task()

    def _measure(self, period: Period, faces: Sequence[TrackedFace]) -> None:
        for face in faces:
            features = face_features(face)
            if self._estimate and face.raw.crop is not None:
                features[FEATURE] = chance_right(self._estimate, face.raw.confidence, features)
            for name, value in features.items():
                period.observe(name, value)

    def _add(self, start: int, period: Period) -> None:
        period.hottest = read_heat().celsius
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append((start, period))
        else:
            self._waiting[-1][1].add(period)
        self._write()
        self.drift.update()

    def _write(self) -> None:
        while self._waiting:
            try:
                self._store.append(*self._waiting[0])
            except OSError as error:
                if not self._sink.trouble:
                    _log.error(
                        "%s: cannot be written (%s). Counts are kept in memory meanwhile", self._sink.description, error
                    )
                self._sink.trouble = str(error)
                return
            del self._waiting[0]
            if self._sink.trouble:
                _log.warning("%s is written again", self._sink.description)
            self._sink.trouble = ""


def face_features(face: TrackedFace) -> dict[str, float]:
    """The recorded features of a face that was seen in this frame; `monitoring.histograms` has the units."""
    probabilities = face.smoothed.probabilities.astype(np.float64)
    known = probabilities[probabilities > 0]
    features = {
        "confidence": face.confidence,
        "entropy": float(-(known * np.log(known)).sum() / math.log(len(probabilities))),
        "size": max(face.box.width, face.box.height),
        "score": face.box.score,
    }
    if face.raw.crop is not None:
        features |= crop_statistics(face.raw.crop)
    return features
