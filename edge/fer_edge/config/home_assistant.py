"""The table `[home_assistant]`: whether and how the device is announced."""

from __future__ import annotations

from pydantic import Field

from fer_edge.config.section import Section


class HomeAssistantConfig(Section):
    """The device in Home Assistant, by MQTT discovery; needs `[mqtt]`."""

    enabled: bool | None = Field(default=None, examples=[True])
    """Announce the device with all its entities. false removes an earlier announcement. If it is not set, nothing is
    sent to Home Assistant."""
    name: str | None = Field(default=None, min_length=1, max_length=100, examples=["Kitchen camera"])
    """Name of the device in Home Assistant. Default: fer-edge and this machine's name."""
    expressions: bool = False
    """Add a binary sensor for each expression, which is on while any face shows it."""
    prefix: str = Field(default="homeassistant", min_length=1, pattern=r"^[^#+]*$")
    """Discovery prefix, as set in Home Assistant's MQTT integration."""
