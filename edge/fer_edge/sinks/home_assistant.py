"""Makes a device known to Home Assistant over MQTT, and keeps it known."""

from __future__ import annotations

import json
import time
from typing import Self

from fer_edge.sinks import Sink
from fer_edge.sinks.home_assistant_discovery import Device, Entity, discovery_payload, discovery_topic, removed_entities
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.types import FrameResult

# Seconds between two announcements: whatever is said on the broker, others are not flooded.
_PAUSE_S = 5.0


class HomeAssistant(Sink):
    """Announces the device, retained: at the start, when Home Assistant starts, and when the announcement was changed.

    Entities of an earlier announcement that are no more are removed.
    """

    description = "Home Assistant"

    def __init__(self, mqtt: Mqtt, prefix: str, device: Device) -> None:
        """Prepare.

        Args:
            mqtt: the connection.
            prefix: Home Assistant's discovery prefix.
            device: what is announced.
        """
        self._mqtt = mqtt
        self._status = f"{prefix}/status"
        self._topic = discovery_topic(prefix, device.id)
        self._payload = discovery_payload(device)
        self._removed: dict[str, Entity] = {}
        self._announced = ""
        self._announced_at = float("-inf")
        self._is_asked = True

    def __enter__(self) -> Self:
        self._mqtt.subscribe(self._status, self._on_status)
        self._mqtt.subscribe(self._topic, self._on_announcement)
        self._announce_if_asked()
        return self

    def emit(self, _result: FrameResult) -> None:
        """Announce again, if that was asked for."""
        self._announce_if_asked()

    def waiting(self, _what: str) -> None:
        """Announce again, if that was asked for."""
        self._announce_if_asked()

    def _announce_if_asked(self) -> None:
        now = time.monotonic()
        if not self._is_asked or now - self._announced_at < _PAUSE_S:
            return
        self._is_asked, self._announced_at = False, now
        components = {**self._removed, **self._payload["components"]}
        self._announced = json.dumps({**self._payload, "components": components}, ensure_ascii=False)
        self._mqtt.publish(self._topic, self._announced, repeat=True)

    def _on_status(self, payload: bytes) -> None:
        """Home Assistant has started. Whatever else is said there means nothing."""
        if payload == b"online":
            self._is_asked = True

    def _on_announcement(self, payload: bytes) -> None:
        """Something is announced in this device's name: by an earlier run, another program, or this one.

        An empty message comes from the owner, who deleted the device in Home Assistant.
        """
        if payload and payload != self._announced.encode():
            self._removed = removed_entities(payload, self._payload) or self._removed
            self._is_asked = True


def withdraw(mqtt: Mqtt, prefix: str, identity: str) -> None:
    """Let Home Assistant forget the device and its entities."""
    mqtt.publish(discovery_topic(prefix, identity), "")
