"""Look at a repository as a device does: with TUF's own client, from a root file on, down to every byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Signed
from tuf.ngclient import FetcherInterface, Updater

from fer_edge.errors import ConfigError, FerError, reason
from fer_edge.updates.releases import RELEASES_TARGET, bundle_target, parse_releases
from fer_fleet.keys import OFFLINE_ROLES, short_id
from fer_fleet.repository import ROLES, Repository

# A role is called due when less than this share of its days is left.
_DUE = 0.25


@dataclass(frozen=True, slots=True)
class RoleState:
    """One role of a repository.

    Attributes:
        name: the role.
        version: version of its newest file.
        expires: when its signature expires, in UTC.
        days_left: days until then; negative afterwards.
        due: whether it should be renewed now.
        threshold: number of keys that have to sign.
        keys: beginnings of the ids of its keys.
    """

    name: str
    version: int
    expires: datetime
    days_left: float
    due: bool
    threshold: int
    keys: tuple[str, ...]

    @property
    def how_to_renew(self) -> str:
        """The command that renews it."""
        return "fer-fleet refresh --all" if self.name in OFFLINE_ROLES else "fer-fleet refresh"


class _FolderFetcher(FetcherInterface):
    """Reads files instead of URLs."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield Path(url).read_bytes()
        except FileNotFoundError:
            raise DownloadHTTPError(f"{url}: missing", 404) from None


def verify(folder: Path, root: Path | None = None) -> tuple[int, int]:
    """Verify all that a new device would read.

    Args:
        folder: the repository.
        root: the root file that the device has; None for the repository's first.

    Returns:
        Number of files that the targets name, and their bytes.

    Raises:
        FerError: a device would refuse something; the message says what.
    """
    first = root or folder / "metadata" / "1.root.json"
    try:
        bootstrap = first.read_bytes()
    except OSError as error:
        raise ConfigError(f"{first}: cannot be read ({reason(error)})") from error
    with TemporaryDirectory() as aside:
        try:
            updater = Updater(
                aside,
                str(folder / "metadata"),
                aside,
                str(folder / "targets"),
                fetcher=_FolderFetcher(),
                bootstrap=bootstrap,
            )
            updater.refresh()
            return _read_all(folder, updater, Path(aside) / "target")
        except (RepositoryError, DownloadError) as error:
            raise FerError(f"{folder}: {_explain(error)}") from error


def role_states(repository: Repository, now: datetime) -> list[RoleState]:
    """Versions, expiry and keys of all roles."""
    snapshot, timestamp = repository.snapshot, repository.timestamp
    files: dict[str, Signed | None] = {
        "root": repository.root.signed,
        "targets": repository.targets.signed,
        "snapshot": snapshot.signed if snapshot else None,
        "timestamp": timestamp.signed if timestamp else None,
    }
    states = []
    for name in ROLES:
        signed = files[name]
        if signed is None:
            continue
        expires = signed.expires.replace(tzinfo=UTC)
        left = (expires - now).total_seconds() / 86400
        role = repository.role(name)
        states.append(
            RoleState(
                name=name,
                version=signed.version,
                expires=expires,
                days_left=left,
                due=left < _DUE * repository.days(name),
                threshold=role.threshold,
                keys=tuple(map(short_id, role.keyids)),
            )
        )
    return states


def _read_all(folder: Path, updater: Updater, aside: Path) -> tuple[int, int]:
    """Download the releases, and all that they offer. A file that nothing names need not be there."""
    names = [RELEASES_TARGET]
    files = total = 0
    while names:
        name = names.pop()
        target = updater.get_targetinfo(name)
        if target is None and name == RELEASES_TARGET:
            return 0, 0  # a new repository
        if target is None:
            raise FerError(f"{folder}: {name}: is rolled out, but was not signed")
        updater.download_target(target, str(aside))
        files, total = files + 1, total + target.length
        if name == RELEASES_TARGET:
            models = parse_releases(aside.read_bytes()).models
            names += [
                bundle_target(each, release.version) for each, model in models.items() for release in model.releases
            ]
    return files, total


def _explain(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    if isinstance(error, ExpiredMetadataError):
        return f"{text}: renew it with fer-fleet refresh"
    if isinstance(error, UnsignedMetadataError):
        return f"{text}: it was changed, or signed by other keys"
    return text
