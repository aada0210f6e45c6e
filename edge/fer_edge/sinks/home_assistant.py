"""Announces the device to Home Assistant over MQTT."""

from __future__ import annotations

import json
import time
from typing import Self

from fer_edge.sinks import Sink
from fer_edge.sinks.home_assistant_discovery import Device, Entity, discovery_payload, discovery_topic, removed_entities
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.types import FrameResult

# Two announcements are at least so many seconds apart, so that other messages cannot provoke a flood.
_PAUSE_S = 5.0


class HomeAssistant(Sink):
    """Publishes the retained announcement at the start, when Home Assistant starts, and after others changed it.

    Entities of an earlier announcement that no longer exist are removed.
    """

    description = "Home Assistant"

    def __init__(self, mqtt: Mqtt, prefix: str, device: Device) -> None:
        """Subscribe to Home Assistant's status and to the announcement.

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
        """Announce the device again if it is necessary."""
        self._announce_if_asked()

    def waiting(self, _what: str) -> None:
        """Announce the device again if it is necessary."""
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
        """Announce the device again when Home Assistant has started; other messages of that topic are ignored."""
        if payload == b"online":
            self._is_asked = True

    def _on_announcement(self, payload: bytes) -> None:
        """Check an announcement of this device, which an earlier run, another program or this run has published.

        An empty message means that the owner deleted the device in Home Assistant.
        """
        if payload and payload != self._announced.encode():
            self._removed = removed_entities(payload, self._payload) or self._removed
            self._is_asked = True


def withdraw(mqtt: Mqtt, prefix: str, identity: str) -> None:
    """Remove the device and its entities from Home Assistant."""
    mqtt.publish(discovery_topic(prefix, identity), "")
