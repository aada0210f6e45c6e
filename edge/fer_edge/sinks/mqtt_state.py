"""Publishes the state of the device for home automation over MQTT: flat values, at a limited rate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2

from fer_edge.config import MqttConfig
from fer_edge.sinks import Sink
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.sinks.overlay import draw
from fer_edge.sinks.serialize import utc_now
from fer_edge.types import FrameResult, TrackedFace

# After so many seconds without a change the state is published again.
REFRESH_S = 30.0
# Two snapshots are at least so many seconds apart.
_SNAPSHOT_S = 10.0
_JPEG_QUALITY = 80
# The frame rate is measured over so many seconds.
_RATE_S = 5.0
# Another face must be larger by this factor to become the nearest, so that two similar faces do not alternate.
_NEARER = 1.2
# A change of these values is published at once, and so is a change of the confidence by so many points.
_PROMPT = ("expression", "expressions", "faces", "camera", "problem", "drift")
_CONFIDENCE_STEP = 10


@dataclass(frozen=True, slots=True)
class About:
    """The values that do not change during a run."""

    model: str
    model_version: str
    version: str
    board: str


@dataclass(frozen=True, slots=True)
class Readings:
    """The values that are read at intervals."""

    # The temperature is in degrees Celsius, or None where the board does not report it.
    temperature: Callable[[], float | None] = lambda: None
    # The drift is `ok`, `watch`, `drifted` or `too little data`, or None without a usage record.
    drift: Callable[[], str | None] = lambda: None
    # The expected accuracy is in per cent, or None where it is unknown or not to be trusted.
    expected_accuracy: Callable[[], float | None] = lambda: None
    # What Home Assistant's `update` entity shows of the model, or None without updates.
    update: Callable[[], dict[str, str | bool] | None] = lambda: None


class MqttState(Sink):
    """Publishes at most one state per `mqtt.interval` seconds, and at least one per `REFRESH_S`.

    - `<topic>/state`: who is in view, the camera, the frame rate, the temperature, drift and expected accuracy, and
      whether there is a problem;
    - `<topic>/problem`: what the problem is;
    - `<topic>/update`: installed and latest version of the model, where updates are configured, and whether a look for
      a new one was asked for;
    - `<topic>/about`: model, versions and board;
    - `<topic>/snapshot`: the annotated picture as JPEG after a change while somebody is in view, where
      `mqtt.snapshots` allows it. It is not retained, so that the broker keeps no picture.
    """

    description = "the state over MQTT"

    def __init__(self, mqtt: Mqtt, config: MqttConfig, about: About, readings: Readings) -> None:
        self._mqtt = mqtt
        self._config = config
        self._readings = readings
        self._outputs: Sequence[Sink] = ()
        self._remark = ""
        self._nearest = 0
        self._told: dict[str, Any] = {}
        self._told_at = self._snapshot_at = float("-inf")
        self._is_snapshot_due = False
        self._rate = _FrameRate()
        mqtt.publish(f"{config.topic}/about", json.dumps(asdict(about)))

    def __exit__(self, *_: object) -> None:
        """Publish that nobody is in view any more."""
        self._rate.reset()
        self._tell((), camera=False, at_once=True)

    def watch(self, outputs: Sequence[Sink]) -> None:
        """Report the problems of these outputs too."""
        self._outputs = outputs

    def emit(self, result: FrameResult) -> None:
        """Publish who is in view, if a state is due."""
        self._rate.count()
        faces = result.visible_faces
        if self._tell(faces, camera=True):
            self._is_snapshot_due = self._config.snapshots
        if self._is_snapshot_due and faces and time.monotonic() - self._snapshot_at >= _SNAPSHOT_S:
            self._send_snapshot(result)

    def waiting(self, _what: str) -> None:
        """Publish that the camera is lost, if a state is due."""
        self._rate.reset()
        self._tell((), camera=False)

    def remark(self, what: str) -> None:
        """Report unusual images as a problem."""
        self._remark = what

    def _tell(self, faces: tuple[TrackedFace, ...], *, camera: bool, at_once: bool = False) -> bool:
        now = time.monotonic()
        if not at_once and now - self._told_at < self._config.interval:
            return False
        problem = self._problem()
        state = {**self._seen(faces), "camera": camera, "problem": bool(problem), "drift": self._readings.drift()}
        if not self._is_news(state) and now - self._told_at < REFRESH_S:
            return False
        self._told, self._told_at = state, now
        state |= {"fps": self._rate.per_second, "temperature": _rounded(self._readings.temperature())}
        state |= {"expected_accuracy": _rounded(self._readings.expected_accuracy()), "time": utc_now()}
        self._mqtt.publish(f"{self._config.topic}/problem", json.dumps(problem))
        update = self._readings.update()
        if update:
            self._mqtt.publish(f"{self._config.topic}/update", json.dumps(update))
        self._mqtt.publish(f"{self._config.topic}/state", json.dumps(state))
        return True

    def _is_news(self, state: dict[str, Any]) -> bool:
        if any(state[key] != self._told.get(key) for key in _PROMPT):
            return True
        now, before = (int(one["confidence"] or 0) for one in (state, self._told))
        return abs(now - before) >= _CONFIDENCE_STEP

    def _seen(self, faces: tuple[TrackedFace, ...]) -> dict[str, Any]:
        nearest = self._find_nearest(faces)
        return {
            "expression": nearest.label if nearest else None,
            "confidence": round(100 * nearest.confidence) if nearest else None,
            "expressions": sorted({face.label for face in faces}),
            "faces": len(faces),
        }

    def _find_nearest(self, faces: tuple[TrackedFace, ...]) -> TrackedFace | None:
        """Return the largest face; the previous one stays until another is clearly larger."""
        if not faces:
            return None
        largest = max(faces, key=_area)
        before = next((face for face in faces if face.id == self._nearest), largest)
        nearest = largest if _area(largest) > _NEARER * _area(before) else before
        self._nearest = nearest.id
        return nearest

    def _problem(self) -> dict[str, str]:
        """Return the problems by part; the result is empty without any."""
        troubles = "; ".join(f"{sink.description}: {sink.trouble}" for sink in self._outputs if sink.trouble)
        drift = self._readings.drift()
        found = {"outputs": troubles, "camera": self._remark, "drift": drift if drift == "drifted" else ""}
        return {part: what for part, what in found.items() if what}

    def _send_snapshot(self, result: FrameResult) -> None:
        written, content = cv2.imencode(".jpg", draw(result), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if written and self._mqtt.send(f"{self._config.topic}/snapshot", content.tobytes()):
            self._is_snapshot_due, self._snapshot_at = False, time.monotonic()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _area(face: TrackedFace) -> float:
    """Pixels."""
    return face.box.width * face.box.height


class _FrameRate:
    """Frames per second over the last few seconds."""

    def __init__(self) -> None:
        self.per_second = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget the frame times, because the frames have stopped."""
        self.per_second = 0.0
        self._frames, self._since = 0, time.monotonic()

    def count(self) -> None:
        """Add one frame."""
        self._frames += 1
        elapsed = time.monotonic() - self._since
        if elapsed >= _RATE_S or not self.per_second:
            self.per_second = round(self._frames / max(elapsed, 0.1), 1)
        if elapsed >= _RATE_S:
            self._frames, self._since = 0, time.monotonic()
