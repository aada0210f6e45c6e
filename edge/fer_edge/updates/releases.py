"""What a fleet's repository offers (the signed file `releases.json`), and which release a device takes.

No server counts devices. A device is in a rollout if a hash of its id, the model and the version, as a number from
0 to 100, is below the signed percentage. A higher percentage therefore only ever adds devices, and each version has
other devices first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_edge.errors import ModelError
from fer_edge.model.slots import version_numbers
from fer_edge.validation import first_problem

RELEASES_TARGET = "releases.json"


Channel = Literal["stable", "beta"]
CHANNELS: tuple[Channel, ...] = ("stable", "beta")
# Names and versions become parts of paths and of MQTT topics.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class _Signed(BaseModel):
    # Unknown keys are ignored, so that old devices read what newer tools write under the same schema version.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Release(_Signed):
    """One published version of a model."""

    version: Name
    published: datetime
    forced: str | None = None
    """Why it was published although it did not pass the gate; None if it passed."""
    revoked: str | None = None
    """Why no device may run it any more; None if devices may."""


class Rollout(_Signed):
    """How far a version has been released in a channel."""

    version: Name
    percent: Percent
    """Share of all devices."""
    cohorts: dict[Name, Percent] = Field(default_factory=dict)
    """Share of the devices that have a tag, by tag. The largest share that applies to a device counts."""
    halted: str | None = None
    """Why no further device may take it; None while devices may."""


class ModelReleases(_Signed):
    """The releases of one model."""

    releases: tuple[Release, ...]
    """In the order of publication."""
    stable: tuple[Rollout, ...] = ()
    """The rollouts of the channel, the newest last."""
    beta: tuple[Rollout, ...] = ()

    def channel(self, channel: Channel) -> tuple[Rollout, ...]:
        """The rollouts of a channel, the newest last."""
        return self.stable if channel == "stable" else self.beta

    def release(self, version: str | None) -> Release | None:
        """The release of that version, if it was published."""
        return next((release for release in self.releases if release.version == version), None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        published = [release.version for release in self.releases]
        for versions in (published, *([each.version for each in self.channel(channel)] for channel in CHANNELS)):
            if len(set(versions)) < len(versions):
                raise ValueError("names a version twice")
            if unknown := set(versions) - set(published):
                raise ValueError(f"rolls out {min(unknown)}, which was not published")
        return self


class Releases(_Signed):
    """The content of `releases.json`."""

    schema_version: Literal[1] = 1
    models: dict[Name, ModelReleases] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a device shall do about one model.

    Attributes:
        version: the version to install; None to keep what is installed.
        target: path of its archive in the repository; None if `version` is.
        reason: one sentence for people.
        revoked: whether the installed version must not run any more. If `version` is None, there is nothing to take
            instead, and the device goes back by itself.
    """

    version: str | None
    target: str | None
    reason: str
    revoked: bool = False


def bundle_target(name: str, version: str) -> str:
    """Path of a bundle's archive in the repository."""
    return f"bundles/{name}/{version}.tar"


def parse_releases(content: bytes) -> Releases:
    """Read `releases.json`.

    Raises:
        ModelError: it is malformed, or of another schema version.
    """
    try:
        return Releases.model_validate_json(content)
    except ValidationError as error:
        field, problem = first_problem(error, Releases)
        if field == "schema_version":
            problem = "this program reads schema 1. Install a newer fer-edge"
        raise ModelError(f"{RELEASES_TARGET}: {field}: {problem}") from error


def position(device_id: str, name: str, version: str) -> float:
    """The place of a device in a version's rollout, 0 <= position < 100, even over devices and versions."""
    digest = hashlib.sha256("\0".join((device_id, name, version)).encode()).digest()
    return int.from_bytes(digest[:6], "big") * 100 / 2**48


def in_rollout(rollout: Rollout, *, name: str, device_id: str, tags: Collection[str]) -> bool:
    """Whether a device with these tags belongs to the rollout."""
    share = max([rollout.percent, *(percent for tag, percent in rollout.cohorts.items() if tag in tags)])
    return position(device_id, name, rollout.version) < share


def decide(
    releases: Releases,
    *,
    name: str,
    channel: Channel,
    device_id: str,
    tags: Collection[str] = (),
    installed_version: str | None = None,
    bad_versions: Collection[str] = (),
) -> Decision:
    """Decide what a device does: take the newest version that is meant for it, if that is newer than its own.

    Of published versions, the one that was published later is newer. An installed one that was not published here, such
    as a newer shipped one, is compared by the numbers of its version.

    Args:
        releases: what the repository offers.
        name: the model.
        channel: the channel of the device.
        device_id: id of the device.
        tags: tags of the device.
        installed_version: the version it runs; None if it has none.
        bad_versions: the versions whose trial failed on this device.
    """
    model = releases.models.get(name)
    if model is None:
        return Decision(None, None, f"The repository has no model {name}.")
    installed = model.release(installed_version)
    revoked = installed is not None and installed.revoked is not None
    found, refused = _newest(model, channel, name, device_id, tags, bad_versions)
    if installed is not None and not revoked and not (found and _is_newer(model, found, installed)):
        return Decision(None, None, f"{name} {installed.version} is kept. {refused or 'Nothing newer is offered.'}")
    if found is None:
        said = [f"{name} {installed_version} is revoked ({installed.revoked})."] if installed and revoked else []
        said.append(refused or f"Channel {channel} has no release of {name}.")
        return Decision(None, None, " ".join(dict.fromkeys(said)), revoked)
    if installed_version and installed is None and version_numbers(installed_version) > version_numbers(found):
        kept = f"{name} {installed_version} is kept. It was not published here, and is newer than {found}."
        return Decision(None, None, kept)
    why = f", since {installed.version} is revoked ({installed.revoked})" if installed and revoked else ""
    return Decision(found, bundle_target(name, found), f"{name} {found} is meant for this device{why}.", revoked)


def _newest(
    model: ModelReleases, channel: Channel, name: str, device_id: str, tags: Collection[str], bad: Collection[str]
) -> tuple[str | None, str]:
    """The newest version that is meant for the device, and why the channel's newest is not."""
    refused = ""
    for rollout in reversed(model.channel(channel)):
        problem = _problem(model, rollout, name, device_id, tags, bad)
        if problem is None:
            return rollout.version, refused
        refused = refused or f"{name} {rollout.version} {problem}."
    return None, refused


def _problem(
    model: ModelReleases, rollout: Rollout, name: str, device_id: str, tags: Collection[str], bad: Collection[str]
) -> str | None:
    release = model.release(rollout.version)
    if release and release.revoked is not None:
        return f"is revoked ({release.revoked})"
    if rollout.version in bad:
        return "failed its trial on this device"
    if rollout.halted is not None:
        return f"is halted ({rollout.halted})"
    if not in_rollout(rollout, name=name, device_id=device_id, tags=tags):
        return "is not yet meant for this device"
    return None


def _is_newer(model: ModelReleases, version: str, installed: Release) -> bool:
    """Whether a version was published after the installed one: nothing but a revocation leads back."""
    published = [release.version for release in model.releases]
    return published.index(version) > published.index(installed.version)
