"""The table `[updates]`: what a new model must fulfil."""

from __future__ import annotations

from pydantic import Field

from fer_edge.config.section import Section


class UpdatesConfig(Section):
    """New models: what they must fulfil, and how long they are on trial."""

    min_fps: float = Field(default=5, ge=0)
    """A model is refused if it does not reach so many frames per second on this machine, on the built-in demo."""
    trial_minutes: float = Field(default=30, ge=0)
    """Minutes for which a new model is on trial: see docs/models.md. 0 for no trial."""
