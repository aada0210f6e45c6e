"""The table `[updates]`: where new models come from, and what they must fulfil."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fer_edge.config.section import Section

_TIME = r"([01]?\d|2[0-3]):([0-5]\d)"


class UpdatesConfig(Section):
    """New models: where they come from, what they must fulfil, and how long they are on trial."""

    url: str | None = Field(default=None, examples=["https://models.example.org/fleet"])
    """A repository that `fer-fleet` made: http://, https://, or file:// for a folder. Not set: no updates."""
    root: Path = Path("/etc/fer-edge/root.json")
    """The repository's root file, whose keys are trusted: `install.sh --root root.json` puts it there."""
    channel: Literal["stable", "beta"] = "stable"
    """Which releases this device takes."""
    tags: tuple[str, ...] = Field(default=(), examples=[["lobby"]])
    """Names of the cohorts to which this device belongs."""
    quiet_hours: str | None = Field(default=None, examples=["08:00-22:00"])
    """Local time, HH:MM-HH:MM, in which the timer installs nothing."""
    rate_limit: float | None = Field(default=None, gt=0, examples=[100])
    """Largest number of kilobytes per second of a download."""
    min_fps: float = Field(default=5, ge=0)
    """A model is refused if it does not reach so many frames per second on this machine, on the built-in demo."""
    trial_minutes: float = Field(default=30, ge=0)
    """Minutes for which a new model is on trial: see docs/models.md. 0 for no trial."""
    automatic: bool = True
    """The timer installs what it finds. false: it only looks, and a person starts the update."""
    allow_start: bool = False
    """Let the live page and Home Assistant start an update, also in the quiet hours. Whoever may open the page or write
    to the broker can then start one."""

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None:
            require_url(value)
        return value

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(f"{_TIME}-{_TIME}", value):
            raise ValueError("expected HH:MM-HH:MM, as in 08:00-22:00")
        return value

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.allow_start and self.url is None:
            raise ValueError("allow_start: url is not set, so there is nothing to update from")
        return self

    def is_quiet(self, minute: int) -> bool:
        """Whether a minute of the day, 0 to 1439, lies in the quiet hours, which may go over midnight."""
        if self.quiet_hours is None:
            return False
        begin, end = (60 * int(hour) + int(minutes) for hour, minutes in re.findall(_TIME, self.quiet_hours))
        return begin <= minute < end if begin <= end else minute >= begin or minute < end


def require_url(value: str) -> None:
    """Raise ValueError if it is no URL of a repository."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https", "file"} or not (parts.netloc or parts.scheme == "file"):
        raise ValueError("expected a URL: http://, https://, or file:// for a folder")
    if parts.username or parts.password:
        raise ValueError("a URL here holds no password: what is signed need not be secret")
