"""Count what is seen, minute by minute, without delaying frames."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from fer_edge.model.reference import Reference
from fer_edge.monitoring.drift import DriftReport
from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import MINUTE, UsageStore
from fer_edge.monitoring.usage_writer import UsageWriter
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult, TrackedFace

# A face's features are sampled every so many seconds, since its images are similar.
_SAMPLE_INTERVAL = 1.0
# One frame counts for at most this many seconds: during a gap nobody knows who was there.
_LONGEST_FRAME_S = 1.0
# If the clock differs from the monotonic one by this many seconds, it was set.
_CLOCK_STEP = 30.0
# So many sampled faces are handed to the writer at once: waking it for each would take longer than measuring a face.
_AT_ONCE = 16


@dataclass(slots=True)
class _Known:
    """What is known of a tracked face: the labels it showed, and when it was sampled last."""

    labels: set[str] = field(default_factory=set)
    sampled_at: float = -math.inf


class UsageRecorder(Sink):
    """A sink that keeps only counts: no image, no box, no identity."""

    def __init__(
        self,
        store: UsageStore,
        description: str,
        reference: Reference | None = None,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            store: stores the counts of a minute.
            description: description for people.
            reference: the model's, if its bundle has one.
            wall_clock: seconds since 1970, UTC; the clock may be set during the run.
            clock: monotonic seconds, as in a frame's `captured_at`.
        """
        self.description = description
        self._store = store
        self._wall_clock = wall_clock
        self._clock = clock
        self._writer = UsageWriter(self, store, reference)
        self._period = Period()
        self._sampled: list[TrackedFace] = []
        self._anchor = wall_clock() - clock()
        self._start_minute()
        self._last_index = -1
        self._last_at = math.inf
        self._known: dict[int, _Known] = {}
        self._lost_since: float | None = None

    def __enter__(self) -> Self:
        self._store.__enter__()
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close_minute()
        self._writer.finish()
        self._store.__exit__()

    @property
    def path(self) -> Path:
        """The record."""
        return self._store.path

    @property
    def drift(self) -> DriftReport:
        """The comparison of the last two days with the reference week; updated every hour."""
        return self._writer.drift.report

    @property
    def expected_accuracy(self) -> ExpectedAccuracy | None:
        """What to expect of the faces of the last two days, as of the last hour; None without a reference, or faces."""
        return self._writer.drift.expected

    @property
    def note(self) -> str:
        """Drift, in words, if there is any."""
        return f"drift: {self.drift.reason}" if self.drift.state in {"watch", "drifted"} else ""

    def emit(self, result: FrameResult) -> None:
        """Count one frame."""
        if self._clock() >= self._minute_ends_at:
            self._turn_minute()
        if self._lost_since is not None:
            self._camera_is_back()
        period, frame = self._period, result.frame
        elapsed = frame.captured_at - self._last_at
        elapsed = min(elapsed, _LONGEST_FRAME_S) if elapsed > 0 else 0.0
        period.frames += 1
        if frame.live:
            period.dropped += max(int(frame.index - self._last_index - 1), 0) if self._last_index >= 0 else 0
            period.observe("latency", 1000 * (self._clock() - frame.captured_at))
        self._last_index, self._last_at = frame.index, frame.captured_at
        for face in result.faces:
            if face.track.visible:
                self._count_face(face, elapsed, frame.captured_at)
        if len(self._known) > len(result.faces):
            here = {face.id for face in result.faces}
            self._known = {identity: known for identity, known in self._known.items() if identity in here}

    def waiting(self, _what: str) -> None:
        """Count the time without a camera."""
        if self._clock() >= self._minute_ends_at:
            self._turn_minute()
        if self._lost_since is None:
            self._period.camera_losses += 1
            self._lost_since = self._clock()

    def _count_face(self, face: TrackedFace, elapsed: float, now: float) -> None:
        period, label = self._period, face.label
        period.face_s[label] += elapsed
        known = self._known.get(face.id)
        if known is None:
            period.people += 1
            known = self._known[face.id] = _Known()
        if label not in known.labels:
            known.labels.add(label)
            period.visits[label] += 1
        if face.track.missed_s == 0 and now - known.sampled_at >= _SAMPLE_INTERVAL:
            known.sampled_at = now
            self._sampled.append(face)
            if len(self._sampled) >= _AT_ONCE:
                self._hand_over()

    def _start_minute(self) -> None:
        self._minute = int((self._clock() + self._anchor) // MINUTE) * MINUTE
        self._minute_ends_at = self._minute + MINUTE - self._anchor  # of the monotonic clock

    def _turn_minute(self) -> None:
        self._close_minute()
        self._follow_clock()
        self._start_minute()

    def _hand_over(self) -> None:
        """Let the writer measure the sampled faces: here that would delay frames."""
        if self._sampled:
            self._writer.measure(self._period, self._sampled)
            self._sampled = []

    def _follow_clock(self) -> None:
        """Use monotonic time within a run. If the clock was set, record that, and use the new time from then on."""
        step = self._wall_clock() - self._clock() - self._anchor
        if abs(step) > _CLOCK_STEP:
            self._period.clock_step_s = step
            self._anchor += step

    def _close_minute(self) -> None:
        now = self._clock()
        if self._lost_since is not None:
            self._period.camera_lost_s += now - self._lost_since
            self._lost_since = now
        if not self._period.is_empty:
            self._hand_over()
            self._writer.put(self._minute, self._period)
        self._period = Period()

    def _camera_is_back(self) -> None:
        if self._lost_since is not None:
            self._period.camera_lost_s += self._clock() - self._lost_since
            self._lost_since = None
