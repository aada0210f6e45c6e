"""The operator's commands on a repository. One at a time, and a crash at any step leaves a repository that verifies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from fer_edge.errors import ConfigError
from fer_edge.updates.releases import Channel, Releases, bundle_target
from fer_fleet import edits
from fer_fleet.archive import pack
from fer_fleet.files import locked
from fer_fleet.gate import Gated
from fer_fleet.keys import Keys
from fer_fleet.repository import Repository

# A clock that is so far ahead of the newest file is taken for wrong: root has to be signed once per year.
_CLOCK_AHEAD = timedelta(days=366)


def publish(
    folder: Path, keys: Keys, gated: Gated, channel: Channel, percent: float, forced: str | None, now: datetime
) -> bool:
    """Publish a bundle, and roll it out in a channel.

    Args:
        folder: the repository.
        keys: the private keys.
        gated: the bundle, and what the gate says about it.
        channel: the channel.
        percent: share of the channel's devices that may take it.
        forced: why it is published although it did not pass the gate; None if it has to pass.
        now: the present.

    Returns:
        Whether devices get it. Else, somebody with the online keys has to `refresh`.

    Raises:
        ConfigError: it did not pass the gate, another bundle has this version, the clock is wrong, or it cannot be
            signed.
    """
    if gated.refusal and forced is None:
        raise ConfigError(f"{gated.bundle.folder}: {gated.refusal}. To publish it all the same, give --force a reason")
    name, version = gated.bundle.manifest.name, gated.bundle.manifest.version
    target, content = bundle_target(name, version), pack(gated.bundle.folder)
    with locked(folder):
        repository = Repository(folder)
        if _published(repository, target, content):
            return _finish(repository, keys, now)
        _refuse_wrong_clock(repository, now)
        reason = forced if gated.refusal else None
        releases = edits.publish(repository.releases, name, version, channel, percent, reason, now)
        repository.sign_releases(releases, keys, now, [repository.write_archive(target, content)])
        return _finish(repository, keys, now)


def change(folder: Path, keys: Keys, edit: Callable[[Releases], Releases], now: datetime) -> bool:
    """Change the releases by a function of `edits`. Returns and raises as `publish`."""
    with locked(folder):
        repository = Repository(folder)
        changed = edit(repository.releases)
        if changed != repository.releases:
            repository.sign_releases(changed, keys, now)
        return _finish(repository, keys, now)


def refresh(folder: Path, keys: Keys, now: datetime, *, offline: bool = False) -> None:
    """Renew the timestamp, and the snapshot where it is due.

    Args:
        folder: the repository.
        keys: the private keys of snapshot and timestamp.
        now: the present.
        offline: renew root and targets as well, which needs their keys.

    Raises:
        ConfigError: a key is missing, or a file cannot be written.
    """
    with locked(folder):
        repository = Repository(folder)
        if offline:
            repository.renew_targets(keys, now)
        repository.refresh(keys, now)
        if offline:
            repository.renew_root(keys, now)


def _refuse_wrong_clock(repository: Repository, now: datetime) -> None:
    """Devices take their own clock for wrong if a release is of a later day, and update nothing."""
    if now - repository.signed_at > _CLOCK_AHEAD:
        raise ConfigError(
            f"the clock here says {now:%Y-%m-%d}, and the newest file was signed on {repository.signed_at:%Y-%m-%d}. "
            "Set the clock; if it is right, run fer-fleet refresh --all first"
        )


def _published(repository: Repository, target: str, content: bytes) -> bool:
    """Whether just these bytes were published under this name, such as before a crash."""
    known = repository.targets.signed.targets.get(target)
    return known is not None and known.length == len(content) and repository.read_target(target) == content


def _finish(repository: Repository, keys: Keys, now: datetime) -> bool:
    """Let devices see what was signed, if the online keys are here."""
    if not (keys.holds(repository.role("snapshot")) and keys.holds(repository.role("timestamp"))):
        return repository.is_current()
    repository.refresh(keys, now)
    return True
