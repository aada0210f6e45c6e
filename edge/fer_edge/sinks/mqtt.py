"""Publishes faces and labels to an MQTT broker whenever they change."""

from __future__ import annotations

import json

from fer_edge.config import MqttConfig
from fer_edge.sinks.mqtt_connection import MqttConnection
from fer_edge.sinks.serialize import as_record, camera_record, shown
from fer_edge.types import FrameResult


class Mqtt(MqttConnection):
    """Publishes retained messages, in addition to `<topic>/availability`.

    - `<topic>/faces`: the record of a frame (as a JSON line) each time a face appears, leaves or changes expression;
    - `<topic>/camera`: `online` while there are frames, `offline` while the camera is lost.

    Both are removed at the end; messages that a killed program left are removed at the next start. Without a
    connection, only the last change is kept.
    """

    def __init__(self, config: MqttConfig) -> None:
        """Prepare the client. Raises as `MqttConnection` does."""
        super().__init__(config)
        self._faces = f"{config.topic}/faces"
        self._camera = f"{config.topic}/camera"
        self._first_at: float | None = None
        self._shown: list[tuple[int, str]] | None = None
        self._remove()

    def __exit__(self, *details: object) -> None:
        self._remove()
        super().__exit__(*details)

    def emit(self, result: FrameResult) -> None:
        """Publish the frame's record if a face or its label changed."""
        if self._first_at is None:
            self._first_at = result.frame.captured_at
        self.publish(self._camera, "online")
        now = shown(result)
        if now != self._shown:
            self._shown = now
            self.publish(self._faces, json.dumps(as_record(result, self._first_at)))

    def waiting(self, _what: str) -> None:
        """Publish once that the camera is lost and that no face is in view."""
        if self._latest.get(self._camera) != "offline":
            self.publish(self._camera, "offline")
            self.publish(self._faces, json.dumps(camera_record("offline")))
            self._shown = None

    def _remove(self) -> None:
        """Remove the retained faces from the broker: after the end nobody would update them."""
        self.publish(self._faces, "")
        self.publish(self._camera, "")
