"""The state for the page and for programs, as plain values. The loop writes it; the server reads it."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fer_edge import __version__
from fer_edge.device.thermal import read_heat
from fer_edge.model.manifest import Manifest
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult, TrackedFace
from fer_edge.updates.latest import read_latest
from fer_edge.updates.request import is_requested
from fer_edge.web.today import Today

# The timeline covers this many seconds, in steps of this many seconds.
_TIMELINE_S, _STEP_S = 600, 5
# The state's text is reused for this many seconds.
_FRESH = 0.5
# The frame rate is measured over this many frames.
_RECENT = 60
# The temperature is read every so many seconds.
_HEAT_INTERVAL = 10.0
# What the last update found is read every so many seconds.
_LATEST_INTERVAL = 60.0
# After this many seconds without a frame, and without waiting for the camera, the device is not well.
_ALIVE = 15.0


@dataclass(slots=True)
class _Step:
    """Seconds per label in one step of the timeline."""

    start: float
    seconds: dict[str, float] = field(default_factory=dict)


class LiveState:
    """The newest state. All methods may be called from any thread."""

    def __init__(self, model: Manifest, source: str, *, starts_updates: bool = False) -> None:
        self._outputs: tuple[Sink, ...] = ()
        self._today = Today(())
        self._model = model
        self._source = source
        self.starts_updates = starts_updates
        self._lock = threading.Lock()
        self._faces: tuple[TrackedFace, ...] = ()
        self._since: dict[int, float] = {}
        self._frames = 0
        self._times: deque[float] = deque(maxlen=_RECENT)
        self._latency_ms = 0.0
        self._timeline: deque[_Step] = deque(maxlen=_TIMELINE_S // _STEP_S)
        self._camera, self._remark = "starting", ""
        self._alive_at = time.monotonic()
        self._started_at = time.time()
        self._heat: tuple[float, float | None] = (-_HEAT_INTERVAL, None)
        self._latest: tuple[float, str | None] = (-math.inf, None)
        self.version = 0
        self._json_lock = threading.Lock()
        self._json, self._json_version, self._json_at = b"", -1, 0.0

    def watch(self, outputs: Sequence[Sink]) -> None:
        """Show how these outputs do, and what they recorded."""
        self._outputs, self._today = tuple(outputs), Today(outputs)

    def update(self, result: FrameResult) -> None:
        """Take one result."""
        now = time.monotonic()
        with self._lock:
            elapsed = min(now - self._alive_at, 1.0) if self._frames else 0.0
            self._alive_at = now
            self._frames += 1
            self._times.append(now)
            if result.frame.live:
                self._latency_ms = 1000 * (now - result.frame.captured_at)
            before = [(face.id, face.label) for face in self._faces]
            self._faces = result.visible_faces
            self._since = {face.id: self._since.get(face.id, now) for face in self._faces}
            shown = [(face.id, face.label) for face in self._faces]
            self._add_to_timeline(elapsed)
            self._set(shown != before, "online", self._remark)

    def wait(self, _what: str) -> None:
        """There is no frame because the camera is lost."""
        with self._lock:
            self._alive_at = time.monotonic()
            self._faces, self._since = (), {}
            self._set(False, "offline", self._remark)

    def remark(self, what: str) -> None:
        """Something is wrong with the frames; empty when they are good again."""
        with self._lock:
            self._set(False, self._camera, what)

    def is_well(self) -> bool:
        """Whether frames are processed, or a camera is waited for."""
        with self._lock:
            return time.monotonic() - self._alive_at < _ALIVE

    def as_dict(self) -> dict[str, Any]:
        """The whole state as plain values; times are seconds."""
        celsius, latest = self._celsius(), self._latest_version()
        updating = self.starts_updates and is_requested()
        with self._lock:
            span = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
            stale = time.monotonic() - self._alive_at > 1.0
            return {
                "version": __version__,
                "started_at": round(self._started_at, 1),
                "source": self._source,
                "camera": self._camera,
                "camera_remark": self._remark,
                "frames": self._frames,
                "fps": 0.0 if stale or not span else round((len(self._times) - 1) / span, 1),
                "latency_ms": round(self._latency_ms, 1),
                "temperature_celsius": celsius,
                "model": {
                    "name": self._model.name,
                    "version": self._model.version,
                    "latest": latest,
                    "can_update": self.starts_updates,
                    "updating": updating,
                    "labels": list(self._model.labels),
                },
                "faces": [self._face(face) for face in self._faces],
                "timeline": {
                    "step_s": _STEP_S,
                    "steps": [
                        {label: round(seconds, 1) for label, seconds in step.seconds.items()} for step in self._timeline
                    ],
                },
                "outputs": [{"name": sink.description, "trouble": sink.trouble} for sink in self._outputs],
                "usage": self._today.usage(),
                "drift": self._today.drift(),
                "expected_accuracy": self._today.expected_accuracy(),
            }

    def as_json(self) -> bytes:
        """The state as JSON. The text is reused for half a second, unless faces or camera change."""
        with self._json_lock:
            now, version = time.monotonic(), self.version
            if version != self._json_version or now - self._json_at >= _FRESH:
                self._json = json.dumps(self.as_dict(), separators=(",", ":")).encode()
                self._json_version, self._json_at = version, now
            return self._json

    def _face(self, face: TrackedFace) -> dict[str, Any]:
        return {
            "id": face.id,
            "label": face.label,
            "confidence": round(face.confidence, 3),
            "probabilities": {
                label: round(float(value), 3)
                for label, value in zip(self._model.labels, face.smoothed.probabilities, strict=True)
            },
            "in_view_s": round(self._alive_at - self._since[face.id], 1),
        }

    def _set(self, faces_changed: bool, camera: str, remark: str) -> None:
        if faces_changed or (camera, remark) != (self._camera, self._remark):
            self.version += 1
        self._camera, self._remark = camera, remark

    def _add_to_timeline(self, elapsed: float) -> None:
        start = time.monotonic() // _STEP_S * _STEP_S
        while not self._timeline or self._timeline[-1].start < start:
            following = self._timeline[-1].start + _STEP_S if self._timeline else start
            self._timeline.append(_Step(max(following, start - _TIMELINE_S)))
        for face in self._faces:
            seconds = self._timeline[-1].seconds
            seconds[face.label] = seconds.get(face.label, 0.0) + elapsed

    def _latest_version(self) -> str | None:
        """The version that the last update found for this device; None if there was none."""
        now = time.monotonic()
        if now - self._latest[0] >= _LATEST_INTERVAL:
            found = read_latest()
            self._latest = (now, found.latest if found and found.name == self._model.name else None)
        return self._latest[1]

    def _celsius(self) -> float | None:
        now = time.monotonic()
        if now - self._heat[0] >= _HEAT_INTERVAL:
            self._heat = (now, read_heat().celsius)
        return self._heat[1]
