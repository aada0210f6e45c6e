"""Builds the MQTT discovery message that describes the device and all its entities to Home Assistant.

The format is documented at https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge.labels import UNCERTAIN
from fer_edge.sinks.mqtt_state import REFRESH_S, About

# After so many seconds without a state, Home Assistant shows an entity as unavailable. Three states may be lost.
_EXPIRE_AFTER = round(4 * REFRESH_S)

Entity = dict[str, Any]

# What the update entity sends to start an update, and where, below the device's topic.
INSTALL, INSTALL_TOPIC = "install", "update/install"


@dataclass(frozen=True, slots=True)
class Device:
    """The device that is announced."""

    id: str
    name: str
    # All topics of the device begin with this.
    topic: str
    about: About
    # These are the labels of the model.
    labels: Sequence[str]
    has_temperature: bool
    # These are the states of drift; some add sensors for drift and expected accuracy.
    drift_states: Sequence[str]
    # True adds a binary sensor for each label.
    has_expressions: bool
    has_snapshots: bool
    # True adds the update entity of the model; the second lets it start the updater, which is another service.
    has_updates: bool
    starts_updates: bool
    # This is the live page's address, if other machines can reach it.
    url: str | None = None


def discovery_topic(prefix: str, identity: str) -> str:
    """Return the topic of the retained message."""
    return f"{prefix}/device/{_unique(identity)}/config"


def discovery_payload(device: Device) -> dict[str, Any]:
    """Return the message as plain values."""
    entities = _seen(device) | _camera(device) | _diagnostics(device)
    if device.drift_states:
        entities |= _usage(device)
    if device.has_expressions:
        entities |= _expressions(device)
    if device.has_snapshots:
        entities["snapshot"] = {
            "platform": "image",
            "name": "Snapshot",
            "image_topic": f"{device.topic}/snapshot",
            "content_type": "image/jpeg",
            **_while_camera(device),
        }
    if device.has_updates:
        entities["update"] = {
            "platform": "update",
            "name": "Model update",
            "entity_category": "diagnostic",
            "state_topic": f"{device.topic}/update",
            **_while_online(device),
        }
    if device.starts_updates:
        entities["update"] |= {"command_topic": f"{device.topic}/{INSTALL_TOPIC}", "payload_install": INSTALL}
    unique = _unique(device.id)
    page = {"configuration_url": device.url} if device.url else {}
    return {
        "device": {
            "identifiers": [unique],
            "name": device.name,
            "manufacturer": "fer-edge",
            "model": device.about.board,
            "sw_version": device.about.version,
            **page,
        },
        "origin": {"name": "fer-edge", "sw_version": device.about.version},
        "state_topic": f"{device.topic}/state",
        "components": {key: {**entity, "unique_id": f"{unique}_{key}"} for key, entity in entities.items()},
    }


def removed_entities(before: bytes, now: Mapping[str, Any]) -> dict[str, Entity]:
    """Return entries that remove the entities of an earlier message that are missing from the new one.

    Each entry consists of the platform alone. A text that is no such message gives no entries.
    """
    try:
        entities = json.loads(before)["components"]
        return {
            key: {"platform": entity["platform"]}
            for key, entity in entities.items()
            if key not in now["components"] and len(entity) > 1
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _seen(device: Device) -> dict[str, Entity]:
    while_camera = _while_camera(device)
    return {
        "expression": {
            **_sensor("Expression", "expression", "mdi:emoticon-outline"),
            "device_class": "enum",
            "options": [*device.labels, UNCERTAIN],
            **while_camera,
        },
        "confidence": {
            **_sensor("Confidence", "confidence", "mdi:percent-outline"),
            "unit_of_measurement": "%",
            "state_class": "measurement",
            **while_camera,
        },
        "faces": {
            **_sensor("Faces in view", "faces", "mdi:account-group"),
            "state_class": "measurement",
            **while_camera,
        },
        "somebody": {
            **_binary("Somebody there", "value_json.faces > 0"),
            "device_class": "occupancy",
            **while_camera,
        },
    }


def _expressions(device: Device) -> dict[str, Entity]:
    return {
        f"expression_{label}": {
            **_binary(label.capitalize(), f"{json.dumps(label)} in value_json.expressions"),
            "icon": "mdi:emoticon-outline",
            **_while_camera(device),
        }
        for label in device.labels
    }


def _camera(device: Device) -> dict[str, Entity]:
    online = _while_online(device)
    entities: dict[str, Entity] = {
        "camera": {
            **_binary("Camera", "value_json.camera"),
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            **online,
        },
        "fps": {
            **_sensor("Frame rate", "fps", "mdi:speedometer"),
            "unit_of_measurement": "fps",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "entity_category": "diagnostic",
            **_while_camera(device),
        },
    }
    if device.has_temperature:
        entities["temperature"] = {
            **_sensor("Temperature", "temperature"),
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "entity_category": "diagnostic",
            **online,
        }
    return entities


def _usage(device: Device) -> dict[str, Entity]:
    """Return what the usage record tells of the model."""
    diagnostic = {"entity_category": "diagnostic", **_while_online(device)}
    return {
        "drift": {
            **_sensor("Drift", "drift", "mdi:chart-bell-curve"),
            "device_class": "enum",
            "options": list(device.drift_states),
            **diagnostic,
        },
        "expected_accuracy": {
            **_sensor("Expected accuracy", "expected_accuracy", "mdi:bullseye-arrow"),
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            **diagnostic,
        },
    }


def _diagnostics(device: Device) -> dict[str, Entity]:
    online = _while_online(device)
    named = {
        "model": ("Model", "mdi:brain"),
        "model_version": ("Model version", "mdi:brain"),
        "version": ("Version", "mdi:package-variant"),
        "board": ("Board", "mdi:chip"),
    }
    return {
        "problem": {
            **_binary("Problem", "value_json.problem"),
            "device_class": "problem",
            "entity_category": "diagnostic",
            "json_attributes_topic": f"{device.topic}/problem",
            **online,
        },
        **{
            key: {
                "platform": "sensor",
                "name": name,
                "icon": icon,
                "entity_category": "diagnostic",
                "state_topic": f"{device.topic}/about",
                "value_template": f"{{{{ value_json.{key} }}}}",
                **online,
            }
            for key, (name, icon) in named.items()
        },
    }


def _sensor(name: str, key: str, icon: str | None = None) -> Entity:
    return {
        "platform": "sensor",
        "name": name,
        "value_template": f"{{{{ value_json.{key} }}}}",
        "expire_after": _EXPIRE_AFTER,
        **({"icon": icon} if icon else {}),
    }


def _binary(name: str, condition: str) -> Entity:
    return {
        "platform": "binary_sensor",
        "name": name,
        "value_template": f"{{{{ ({condition}) | iif('ON', 'OFF') }}}}",
        "expire_after": _EXPIRE_AFTER,
    }


def _while_online(device: Device) -> Entity:
    return {"availability": [{"topic": f"{device.topic}/availability"}]}


def _while_camera(device: Device) -> Entity:
    """Make entities available while the program runs and has a camera; without one the faces are unknown."""
    topics = [{"topic": f"{device.topic}/{name}"} for name in ("availability", "camera")]
    return {"availability": topics, "availability_mode": "all"}


def _unique(identity: str) -> str:
    return f"fer_edge_{identity}"
