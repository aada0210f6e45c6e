"""Make a new repository and its keys."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tuf.api.metadata import Targets

from fer_edge.errors import ConfigError, reason
from fer_fleet.keys import OFFLINE_ROLES, Keys, make_key
from fer_fleet.repository import ROLES, Repository, expiry, first_root, sign, write_signed


class Signers(NamedTuple):
    """How many keys a role has, and how many of them have to sign."""

    keys: int
    threshold: int


# One of three root keys may be lost, and one may be stolen.
DEFAULT_SIGNERS = {
    "root": Signers(3, 2),
    "targets": Signers(1, 1),
    "snapshot": Signers(1, 1),
    "timestamp": Signers(1, 1),
}


def create(
    folder: Path,
    key_folder: Path,
    passphrase: str,
    days: Mapping[str, int],
    signers: Mapping[str, Signers],
    now: datetime,
) -> Repository:
    """Make keys and an empty repository. Either the whole repository is there afterwards, or none.

    Args:
        folder: the repository; absent or empty.
        key_folder: where the keys are written; absent or empty, and outside of the repository.
        passphrase: encrypts the keys of root and targets.
        days: for how many days a signature of each role is valid.
        signers: number of keys and threshold of each role.
        now: the present.

    Raises:
        ConfigError: a folder is not empty or cannot be written, or a number makes no sense.
    """
    _require_sense(folder, key_folder, passphrase, signers)
    aside = folder.with_name(f".{folder.name}.part")
    key_aside = key_folder.with_name(f".{key_folder.name}.part")
    try:
        for path in (aside, key_aside):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True, mode=0o700 if path == key_aside else 0o755)
        _fill(aside, key_aside, passphrase, days, signers, now)
        key_aside.rename(key_folder)  # the keys first: a repository without its keys would be of no use
        aside.rename(folder)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written ({reason(error)})") from error
    finally:
        for path in (aside, key_aside):
            shutil.rmtree(path, ignore_errors=True)
    return Repository(folder)


def _fill(
    folder: Path,
    key_folder: Path,
    passphrase: str,
    days: Mapping[str, int],
    signers: Mapping[str, Signers],
    now: datetime,
) -> None:
    public = {
        role: [
            make_key(key_folder, role, passphrase if role in OFFLINE_ROLES else None) for _ in range(signers[role].keys)
        ]
        for role in ROLES
    }
    keys = Keys([key_folder], lambda _: passphrase)
    root = first_root(public, {role: signers[role].threshold for role in ROLES}, days)
    root.expires = expiry(now, days["root"])
    write_signed(folder, "root", sign(root, "root", [root.roles["root"]], keys))
    targets = Targets(expires=expiry(now, days["targets"]))
    write_signed(folder, "targets", sign(targets, "targets", [root.roles["targets"]], keys))
    Repository(folder).refresh(keys, now)


def _require_sense(folder: Path, key_folder: Path, passphrase: str, signers: Mapping[str, Signers]) -> None:
    for path in (folder, key_folder):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConfigError(f"{path}: exists and is not an empty folder. Choose another")
    if key_folder.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"--keys {key_folder}: is in the repository, which everybody can read. Choose another folder")
    if not passphrase:
        raise ConfigError("the passphrase is empty. Choose one: it protects the keys of root and targets")
    for role, (count, threshold) in signers.items():
        if not 1 <= threshold <= count:
            raise ConfigError(f"{role}: {threshold} of {count} keys cannot sign. The threshold is from 1 to {count}")
