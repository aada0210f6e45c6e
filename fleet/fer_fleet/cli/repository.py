"""Commands for the repository itself: make it, renew and replace its keys, verify it, show it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.json_output import JsonOption, require_json_target, write_json
from fer_edge.errors import ConfigError
from fer_fleet.cli.options import (
    KeysOption,
    RepositoryOption,
    ask_new_passphrase,
    key_folders,
    now,
    open_keys,
)

Days = Annotated[int, typer.Option(min=1, max=3650, metavar="DAYS")]


class RoleName(Enum):
    """A role of the repository."""

    ROOT = "root"
    TARGETS = "targets"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"


def init(
    repository: Annotated[Path, typer.Argument(metavar="REPO", help="The folder to make.")],
    keys: KeysOption = None,
    root_keys: Annotated[int, typer.Option(min=1, max=20, metavar="N", help="Number of root keys.")] = 3,
    root_threshold: Annotated[int, typer.Option(min=1, metavar="N", help="How many of them have to sign.")] = 2,
    targets_keys: Annotated[int, typer.Option(min=1, max=20, metavar="N", help="Number of targets keys.")] = 1,
    targets_threshold: Annotated[int, typer.Option(min=1, metavar="N", help="How many of them have to sign.")] = 1,
    root_days: Annotated[int, typer.Option(min=1, max=3650, metavar="DAYS", help="How long root is valid.")] = 365,
    targets_days: Annotated[int, typer.Option(min=1, max=3650, metavar="DAYS", help="The same of targets.")] = 180,
    snapshot_days: Annotated[int, typer.Option(min=1, max=3650, metavar="DAYS", help="The same of snapshot.")] = 30,
    timestamp_days: Annotated[
        int,
        typer.Option(
            min=1,
            max=3650,
            metavar="DAYS",
            help="The same of timestamp: devices notice after so long that they are cut off.",
        ),
    ] = 7,
) -> None:
    """Make a repository and its keys."""
    from fer_fleet.creation import DEFAULT_SIGNERS, Signers, create
    from fer_fleet.fingerprint import fingerprint

    folders = key_folders(repository, keys)
    if len(folders) > 1:
        raise ConfigError("--keys: give one folder, and move keys to other places afterwards")
    signers = {
        **DEFAULT_SIGNERS,
        "root": Signers(root_keys, root_threshold),
        "targets": Signers(targets_keys, targets_threshold),
    }
    days = {"root": root_days, "targets": targets_days, "snapshot": snapshot_days, "timestamp": timestamp_days}
    create(repository, folders[0], ask_new_passphrase(), days, signers, now())
    root = repository / "metadata" / "1.root.json"
    typer.echo(f"{repository}: made; its keys are in {folders[0]}")
    typer.echo(f"{root}: install it on each device; its fingerprint is {fingerprint(root.read_bytes())}")


def refresh(
    repository: RepositoryOption = Path(),
    keys: KeysOption = None,
    offline: Annotated[bool, typer.Option("--all", help="Renew root and targets as well, with their keys.")] = False,
) -> None:
    """Renew the timestamp, and the snapshot where it is due. For a timer, daily."""
    from fer_fleet import operations
    from fer_fleet.repository import Repository
    from fer_fleet.verification import role_states

    operations.refresh(repository, open_keys(repository, keys), now(), offline=offline)
    states = role_states(Repository(repository), now())
    typer.echo(f"{repository}: valid until {min(state.expires for state in states):%Y-%m-%d %H:%M} UTC")


def rotate(
    roles: Annotated[list[RoleName], typer.Argument(metavar="ROLE...", help="root, targets, snapshot or timestamp.")],
    lost: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Replace only this key of the role. May be repeated. Default: all its keys."),
    ] = None,
    repository: RepositoryOption = Path(),
    keys: KeysOption = None,
) -> None:
    """Replace keys that are old, lost or stolen. The old ones are not trusted any more."""
    from fer_fleet.keys import OFFLINE_ROLES, short_id
    from fer_fleet.repository import Repository
    from fer_fleet.rotation import rotate as replace

    Repository(repository)  # before a passphrase is asked for
    names = list(dict.fromkeys(role.value for role in roles))
    passphrase = ask_new_passphrase() if set(names) & set(OFFLINE_ROLES) else None
    made = replace(repository, names, lost or [], open_keys(repository, keys), passphrase, now())
    for name, new in made.items():
        for key in new:
            typer.echo(f"{name}: new key {name}-{short_id(key.keyid)}.pem in {key_folders(repository, keys)[0]}")
    typer.echo("Delete the files of the replaced keys. Devices follow at their next update")


def verify(
    repository: RepositoryOption = Path(),
    root: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The root file of a device. Default: the repository's first.")
    ] = None,
) -> None:
    """Read all of the repository as a new device would, and exit 1 if it would refuse something."""
    from fer_edge.terminal import tell
    from fer_fleet.repository import Repository
    from fer_fleet.verification import role_states
    from fer_fleet.verification import verify as read_all

    files, size = read_all(repository, root)
    typer.echo(f"{repository}: a device accepts it: {files} files, {size / 1e6:.1f} MB")
    opened = Repository(repository)
    for state in role_states(opened, now()):
        if state.due:
            tell(f"warning: {state.name} expires in {state.days_left:.1f} days: renew it with {state.how_to_renew}")
    if not opened.is_current():
        tell("warning: devices do not get the newest releases yet: run fer-fleet refresh where the online keys are")


def show(repository: RepositoryOption = Path(), json_target: JsonOption = None) -> None:
    """Show the releases, how far they are rolled out, and the keys."""
    from fer_fleet.cli.tables import releases_table, roles_table, show_json
    from fer_fleet.repository import Repository
    from fer_fleet.verification import role_states

    if json_target:
        require_json_target(json_target)
    opened = Repository(repository)
    states = role_states(opened, now())
    if json_target:
        write_json(show_json(opened, states), json_target)
    if json_target != "-":
        releases_table(opened.releases)
        roles_table(states)
