"""Replace the keys of a role.

Until the new root is there, devices trust the old keys; afterwards the new ones. So the role's newest file is first
signed by both, and devices accept it before and after. Only where too few of the old keys are left, the root goes
first, and devices wait until the command is done.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.metadata import Role, Root

from fer_edge.errors import ConfigError, choose
from fer_fleet.files import locked
from fer_fleet.keys import OFFLINE_ROLES, Keys, make_key, short_id
from fer_fleet.repository import Repository, expiry, sign, write_signed


def rotate(
    folder: Path, names: Sequence[str], lost: Collection[str], keys: Keys, passphrase: str | None, now: datetime
) -> dict[str, list[Key]]:
    """Replace keys of some roles by new ones, which are written into the first folder of keys.

    Args:
        folder: the repository.
        names: the roles.
        lost: ids, or their beginnings, of the keys of the only role to replace; empty for all keys of the roles.
        keys: the private keys. Enough of root's must be there, and those of snapshot and timestamp.
        passphrase: encrypts new keys of root and targets.
        now: the present.

    Returns:
        The new public keys by role.

    Raises:
        ConfigError: a key is unknown, too few of the needed keys are there, or a file cannot be written.
    """
    if lost and len(names) > 1:
        raise ConfigError("--lost names keys of one role. Give one role")
    with locked(folder):
        repository = Repository(folder)
        replaced = {name: _replaced(name, repository.role(name), lost) for name in names}
        _require_other_keys(repository, names, keys)
        made = {
            name: [make_key(keys.folders[0], name, passphrase if name in OFFLINE_ROLES else None) for _ in key_ids]
            for name, key_ids in replaced.items()
        }
        if passphrase:
            keys.know(passphrase)
        root = _next_root(repository.root.signed, replaced, made, now, repository.days("root"))
        both = all(keys.holds(repository.role(name)) for name in names)
        for name in names:
            old = [repository.role(name)] if both or name == "root" else []
            repository.signing_roles[name] = [*old, root.roles[name]]
        signed = sign(root, "root", [repository.role("root"), root.roles["root"]], keys)
        if not both:
            write_signed(folder, "root", signed)
        _sign_again(repository, names, keys, now)
        if both:
            write_signed(folder, "root", signed)
    return made


def _require_other_keys(repository: Repository, names: Sequence[str], keys: Keys) -> None:
    """Refuse before anything is made, if something could not be signed afterwards."""
    online = {"snapshot", "timestamp"} - set(names) if set(names) != {"root"} else set()
    for name in ("root", *sorted(online)):
        keys.signers(name, repository.role(name))


def _sign_again(repository: Repository, names: Sequence[str], keys: Keys, now: datetime) -> None:
    """Sign the newest files of the roles again, and those that name them."""
    if "targets" in names:
        repository.renew_targets(keys, now)
    if set(names) != {"root"}:
        repository.refresh(keys, now, new_snapshot="snapshot" in names)


def _replaced(name: str, role: Role, lost: Collection[str]) -> list[str]:
    found = []
    for given in lost:
        matches = [key_id for key_id in role.keyids if key_id.startswith(given)]
        if not given or len(matches) != 1:
            known = choose(given, map(short_id, role.keyids))
            raise ConfigError(f"--lost {given}: is not the id of one of {name}'s keys. {known}")
        found += matches
    return sorted(set(found)) or list(role.keyids)


def _next_root(
    old: Root, replaced: Mapping[str, list[str]], made: Mapping[str, list[Key]], now: datetime, days: int
) -> Root:
    root = copy.deepcopy(old)
    for name, key_ids in replaced.items():
        for key_id in key_ids:
            root.revoke_key(key_id, name)
        for key in made[name]:
            root.add_key(key, name)
    root.version += 1
    root.expires = expiry(now, days)
    return root
