"""The changes of `releases.json`: each takes the releases and returns new ones, or says why not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from fer_edge.errors import ConfigError, choose
from fer_edge.updates.releases import CHANNELS, Channel, ModelReleases, Release, Releases, Rollout
from fer_edge.validation import first_problem


def find(releases: Releases, given: str) -> tuple[str, str]:
    """Return model and version of `VERSION` or `NAME@VERSION`.

    Raises:
        ConfigError: it was not published, or several models have that version.
    """
    name, _, version = given.rpartition("@")
    known = [
        (each, release.version)
        for each, model in releases.models.items()
        for release in model.releases
        if release.version == version and name in {"", each}
    ]
    if len(known) == 1:
        return known[0]
    if known:
        raise ConfigError(f"{given}: is a version of several models. Give {choose_pair(known)}")
    published = [f"{each}@{release.version}" for each, model in releases.models.items() for release in model.releases]
    raise ConfigError(f"{given}: was not published. {choose(given, published) if published else 'Nothing was'}")


def choose_pair(known: list[tuple[str, str]]) -> str:
    """The pairs as `NAME@VERSION`, to choose from."""
    return " or ".join("@".join(pair) for pair in known)


def publish(
    releases: Releases, name: str, version: str, channel: Channel, percent: float, forced: str | None, now: datetime
) -> Releases:
    """Add a version to a model and roll it out in a channel.

    Raises:
        ConfigError: it was published before, or name, version or percentage cannot be used.
    """
    model = releases.models.get(name) or ModelReleases(releases=())
    if model.release(version):
        raise ConfigError(
            f"{name} {version}: was published before, and a version stays as it is. Give it a new version"
        )
    try:
        release = Release(version=version, published=now.replace(microsecond=0), forced=forced)
        rollout = Rollout(version=version, percent=percent)
        model = model.model_copy(update={"releases": (*model.releases, release)})
        changed = model.model_copy(update={channel: (*model.channel(channel), rollout)})
        return Releases.model_validate({"models": {**releases.models, name: changed}})
    except ValidationError as error:
        raise ConfigError("{}: {}".format(*first_problem(error, Releases))) from error


def promote(releases: Releases, name: str, version: str, percent: float) -> Releases:
    """Take a version from the beta channel to the stable one as well.

    Raises:
        ConfigError: it is not in beta, is stable already, or is halted or revoked.
    """
    model = releases.models[name]
    _require_good(model, name, version)
    if _rollout(model, "stable", version):
        raise ConfigError(f"{name} {version}: is in the stable channel. Change its share with fer-fleet rollout")
    tried = _rollout(model, "beta", version)
    if tried is None:
        raise ConfigError(f"{name} {version}: is not in the beta channel. Publish it there first")
    if tried.halted is not None:
        raise ConfigError(f"{name} {version}: is halted in the beta channel ({tried.halted}). Publish a better one")
    published = [release.version for release in model.releases]
    stable = sorted(
        (*model.stable, Rollout(version=version, percent=percent)), key=lambda each: published.index(each.version)
    )
    return _replaced(releases, name, model.model_copy(update={"stable": tuple(stable)}))


def roll_out(
    releases: Releases,
    name: str,
    version: str,
    channel: Channel,
    percent: float,
    cohorts: tuple[str, ...] = (),
    *,
    resume: bool = False,
) -> Releases:
    """Raise the share of all devices, or of those with a tag, that take a version.

    Raises:
        ConfigError: the version is not in the channel, is halted or revoked, or the share would fall.
    """
    rollout = rollout_in(releases, name, version, channel, resume=resume)
    before = max((rollout.cohorts.get(tag, 0.0) for tag in cohorts), default=rollout.percent)
    if percent < before:
        raise ConfigError(
            f"{name} {version}: {before:g} % have it already, and a lower share takes it from nobody. "
            "Use fer-fleet halt to stop it, revoke to take it back"
        )
    shares: Mapping[str, object] = (
        {"cohorts": {**rollout.cohorts, **dict.fromkeys(cohorts, percent)}} if cohorts else {"percent": percent}
    )
    return _with_rollout(releases, name, channel, rollout, {**shares, "halted": None})


def rollout_in(releases: Releases, name: str, version: str, channel: Channel, *, resume: bool = False) -> Rollout:
    """How far a version is in a channel. Raises ConfigError if it is not there, halted or revoked."""
    model = releases.models[name]
    _require_good(model, name, version)
    rollout = _rollout(model, channel, version)
    if rollout is None:
        raise ConfigError(f"{name} {version}: is not in the {channel} channel. Use fer-fleet promote, or --channel")
    if rollout.halted is not None and not resume:
        raise ConfigError(
            f"{name} {version}: is halted ({rollout.halted}). Give --resume to go on with it all the same"
        )
    return rollout


def halt(releases: Releases, name: str, version: str, why: str) -> Releases:
    """Let no further device take a version, in all channels. Raises ConfigError if it is in none."""
    model = releases.models[name]
    found = {channel: rollout for channel in CHANNELS if (rollout := _rollout(model, channel, version))}
    if not found:
        raise ConfigError(f"{name} {version}: is in no channel")
    for channel, rollout in found.items():
        releases = _with_rollout(releases, name, channel, rollout, {"halted": why})
    return releases


def revoke(releases: Releases, name: str, version: str, why: str) -> Releases:
    """Take a version back from all devices."""
    model = releases.models[name]
    changed = tuple(
        release.model_copy(update={"revoked": why}) if release.version == version else release
        for release in model.releases
    )
    return _replaced(releases, name, model.model_copy(update={"releases": changed}))


def _require_good(model: ModelReleases, name: str, version: str) -> None:
    release = model.release(version)
    if release and release.revoked is not None:
        raise ConfigError(f"{name} {version}: is revoked ({release.revoked}). Publish a new version")


def _rollout(model: ModelReleases, channel: Channel, version: str) -> Rollout | None:
    return next((each for each in model.channel(channel) if each.version == version), None)


def _with_rollout(
    releases: Releases, name: str, channel: Channel, rollout: Rollout, update: Mapping[str, object]
) -> Releases:
    try:
        changed = Rollout.model_validate({**rollout.model_dump(), **update})
    except ValidationError as error:
        raise ConfigError("{}: {}".format(*first_problem(error, Rollout))) from error
    model = releases.models[name]
    rollouts = tuple(changed if each.version == rollout.version else each for each in model.channel(channel))
    return _replaced(releases, name, model.model_copy(update={channel: rollouts}))


def _replaced(releases: Releases, name: str, model: ModelReleases) -> Releases:
    return Releases(models={**releases.models, name: model})
