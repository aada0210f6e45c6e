"""The table `[fleet]`: what the device tells the operator of its fleet."""

from __future__ import annotations

from pydantic import Field

from fer_edge.config.section import Section

# What can name a device: a part of MQTT topics.
ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


class FleetConfig(Section):
    """What the device tells the operator of its fleet, over `[mqtt]`: see docs/fleet.md."""

    enabled: bool = False
    """Publish the state of the device, and counts of the last days if there is a usage record. No image is sent."""
    id: str | None = Field(default=None, pattern=f"^{ID}$", examples=["kitchen"])
    """Name of the device in its fleet. Not set: `mqtt.username`, or else twelve digits made from this machine's id."""
