"""Faces and labels to an MQTT broker, whenever they change."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import Any, Self

from fer_edge.config import MqttConfig, reveal
from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.sinks import Sink
from fer_edge.sinks.serialize import as_record, camera_record, shown
from fer_edge.types import FrameResult

_log = logging.getLogger(__name__)


class Mqtt(Sink):
    """Publishes retained messages.

    - `<topic>/faces`: the record of a frame (as a JSON line) each time somebody comes, goes or changes expression;
    - `<topic>/camera`: `online` while there are frames, `offline` while the camera is lost;
    - `<topic>/availability`: `online`, or `offline` after the end; the broker says it when the program dies.

    The connection is made in the background and again after it broke; meanwhile changes are lost but the last one.
    Faces and the camera's state go with QoS 0, since a message that is sent again later would replace a newer one.
    """

    def __init__(self, config: MqttConfig) -> None:
        """Prepare the client.

        Raises:
            MissingExtra: paho-mqtt is not installed.
        """
        try:
            from paho.mqtt.client import Client  # noqa: PLC0415 - an optional part
            from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtra("paho-mqtt", "mqtt") from error
        self._config = config
        self._host = config.host or ""
        self.description = f"MQTT broker {self._host}"
        self._availability = f"{config.topic}/availability"
        self._faces = f"{config.topic}/faces"
        self._camera = f"{config.topic}/camera"
        self._first_at: float | None = None
        self._shown: list[tuple[int, str]] | None = None
        self._latest: dict[str, str] = {}
        """By topic."""
        self._client = Client(CallbackAPIVersion.VERSION2)
        if config.username:
            self._client.username_pw_set(config.username, reveal(config.password))
        if config.tls:
            self._client.tls_set()
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._is_missed = False

    def __enter__(self) -> Self:
        try:
            self._client.connect_async(self._host, self._config.port)
        except ValueError as error:
            raise ConfigError(f"mqtt.host: {self._host!r}: {error}") from error
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._client.is_connected():
            with suppress(RuntimeError):  # the connection broke just now
                self._client.publish(self._availability, "offline", qos=1, retain=True).wait_for_publish(timeout=2)
        self._client.disconnect()
        self._client.loop_stop()

    def emit(self, result: FrameResult) -> None:
        """Publish, if a face or its label changed."""
        if self._first_at is None:
            self._first_at = result.frame.captured_at
        self._tell(self._camera, "online")
        now = shown(result)
        if now != self._shown:
            self._shown = now
            self._tell(self._faces, json.dumps(as_record(result, self._first_at)))

    def waiting(self, _what: str) -> None:
        """Publish once that the camera is lost, and nobody is seen."""
        if self._latest.get(self._camera) != "offline":
            self._tell(self._camera, "offline")
            self._tell(self._faces, json.dumps(camera_record("offline")))
            self._shown = None

    def _tell(self, topic: str, message: str) -> None:
        if self._latest.get(topic) == message:
            return
        self._latest[topic] = message
        if self._client.is_connected():
            self._client.publish(topic, message, qos=0, retain=True)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:  # noqa: ANN401
        if reason.is_failure:
            _log.warning("MQTT broker %s refuses the connection: %s", self._host, reason)
            self.trouble = f"refuses the connection: {reason}"
            return
        if self._is_missed:
            _log.warning("MQTT broker %s is there", self._host)
        self._is_missed = False
        self.trouble = ""
        self._client.publish(self._availability, "online", qos=1, retain=True)
        for topic, message in tuple(self._latest.items()):
            self._client.publish(topic, message, qos=0, retain=True)

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:  # noqa: ANN401
        """Say it once that there is no broker."""
        if not self._is_missed:
            _log.warning("MQTT broker %s cannot be reached: retrying", self._host)
        self._is_missed = True
        self.trouble = "cannot be reached"

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:  # noqa: ANN401
        if reason.is_failure:
            _log.warning("MQTT broker %s is lost, connecting again", self._host)
            self.trouble = "is lost"
