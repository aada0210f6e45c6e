"""What Home Assistant accepts as a device's discovery message."""

from typing import Any

# The keys that Home Assistant 2026.2 knows: what it does not know it leaves out without a word.
TOPICS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"topic": {"type": "string"}},
        "required": ["topic"],
        "additionalProperties": False,
    },
}
COMMON = {
    "platform": {"enum": ["sensor", "binary_sensor", "image", "update"]},
    "unique_id": {"type": "string", "pattern": "^fer_edge_[0-9a-f]{12}_[a-z_]+$"},
    "name": {"type": "string", "maxLength": 40},
    "icon": {"type": "string", "pattern": "^mdi:[a-z-]+$"},
    "entity_category": {"const": "diagnostic"},
    "availability": TOPICS,
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "json_attributes_topic": {"type": "string"},
}
STATE = {
    "state_topic": {"type": "string"},
    "value_template": {"type": "string", "pattern": r"^\{\{.*\}\}$"},
    "expire_after": {"type": "integer", "minimum": 60},
}
SENSOR = {
    "device_class": {"enum": ["enum", "temperature"]},
    "options": {"type": "array", "items": {"type": "string"}},
    "state_class": {"const": "measurement"},
    "unit_of_measurement": {"enum": ["%", "fps", "°C"]},
    "suggested_display_precision": {"type": "integer"},
}
BINARY_SENSOR = {"device_class": {"enum": ["occupancy", "connectivity", "problem"]}}
UPDATE = {
    "state_topic": {"type": "string"},
    "command_topic": {"type": "string"},
    "payload_install": {"type": "string"},
}
IMAGE = {"image_topic": {"type": "string"}, "content_type": {"const": "image/jpeg"}}


def entity(platform: str, keys: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**COMMON, **keys, "platform": {"const": platform}},
        "required": ["platform", "unique_id", "name", "availability", *required],
        "additionalProperties": False,
    }


SCHEMA = {
    "type": "object",
    "properties": {
        "device": {
            "type": "object",
            "properties": {
                "identifiers": {"type": "array", "items": {"type": "string", "pattern": "^fer_edge_[0-9a-f]{12}$"}},
                **{key: {"type": "string"} for key in ("name", "manufacturer", "model", "sw_version")},
                "configuration_url": {"type": "string", "pattern": "^https?://"},
            },
            "required": ["identifiers", "name"],
            "additionalProperties": False,
        },
        "origin": {
            "type": "object",
            "properties": {"name": {"const": "fer-edge"}, "sw_version": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        },
        "state_topic": {"type": "string"},
        "components": {
            "type": "object",
            "additionalProperties": {
                "oneOf": [
                    entity("sensor", {**STATE, **SENSOR}, ["value_template"]),
                    entity("binary_sensor", {**STATE, **BINARY_SENSOR}, ["value_template", "expire_after"]),
                    entity("image", IMAGE, ["image_topic"]),
                    entity("update", UPDATE, ["state_topic"]),
                ]
            },
        },
    },
    "required": ["device", "origin", "components", "state_topic"],
    "additionalProperties": False,
}
