"""A repository of The Update Framework (TUF) as a folder of static files, which any web server can serve.

    metadata/N.root.json, N.targets.json, N.snapshot.json, timestamp.json
    targets/HASH.releases.json, targets/bundles/NAME/HASH.VERSION.tar

Source: The Update Framework specification 1.0, with consistent snapshots. A client reads the newest root, then the
timestamp, which names a snapshot, which names the targets. So files are written in the opposite order: whoever looks
in between, and a crash at any step, finds the old state whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Role, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from fer_edge.errors import ConfigError, reason
from fer_edge.updates.releases import RELEASES_TARGET, Releases, parse_releases
from fer_fleet.files import write
from fer_fleet.keys import Keys

ROLES = ("root", "targets", "snapshot", "timestamp")
# The signatures of a role are valid for so many days, unless `init` was told otherwise. A device that is kept from
# the repository's new files (a freeze attack) notices it when the timestamp expires.
DEFAULT_DAYS = {"root": 365, "targets": 180, "snapshot": 30, "timestamp": 7}
# Where the root file keeps the days of a role; an unknown key to others, as the specification allows.
_DAYS = "x-fer-fleet-days"
# Clients may still be reading the files of so many earlier versions.
_KEPT_VERSIONS = 5

_Signed = TypeVar("_Signed", Root, Targets, Snapshot, Timestamp)


class Repository:
    """The newest state of a repository: what is signed, and the releases."""

    def __init__(self, folder: Path) -> None:
        """Read and verify the newest root and targets.

        Raises:
            ConfigError: there is no repository, or a file is malformed or not signed by enough keys.
        """
        self.folder = folder
        self._metadata = folder / "metadata"
        version = max(self._versions("root"), default=0)
        if not version:
            raise ConfigError(f"{folder}: is no repository. Make one with fer-fleet init {folder}")
        self.root = _read(Root, self._metadata / f"{version}.root.json")
        self._verify("root", self.root, f"{version}.root.json")
        version = max(self._versions("targets"), default=0)
        self.targets = _read(Targets, self._metadata / f"{version}.targets.json")
        self._verify("targets", self.targets, f"{version}.targets.json")
        # Whose keys sign a role; during a rotation also those of the next root.
        self.signing_roles = {name: [self.role(name)] for name in ROLES}
        self.releases = self._read_releases()

    def role(self, name: str) -> Role:
        """Keys and threshold of a role."""
        return self.root.signed.roles[name]

    def days(self, name: str) -> int:
        """For how many days a signature of a role is valid."""
        return int(self.role(name).unrecognized_fields.get(_DAYS, DEFAULT_DAYS[name]))

    @property
    def snapshot(self) -> Metadata[Snapshot] | None:
        """The snapshot that the timestamp names; None before there is one."""
        timestamp = self.timestamp
        if timestamp is None:
            return None
        return _read(Snapshot, self._metadata / f"{timestamp.signed.snapshot_meta.version}.snapshot.json")

    @property
    def timestamp(self) -> Metadata[Timestamp] | None:
        """The timestamp; None before there is one."""
        path = self._metadata / "timestamp.json"
        return _read(Timestamp, path) if path.exists() else None

    @property
    def signed_at(self) -> datetime:
        """When the newest file was signed."""
        expires = {"root": self.root.signed.expires, "targets": self.targets.signed.expires}
        if stamp := self.timestamp:
            expires["timestamp"] = stamp.signed.expires
        return max(until - timedelta(days=self.days(name)) for name, until in expires.items())

    def is_current(self) -> bool:
        """Whether clients get the newest signed targets. Else, somebody with the online keys has to `refresh`."""
        snapshot = self.snapshot
        return snapshot is not None and snapshot.signed.meta["targets.json"].version == self.targets.signed.version

    def write_archive(self, target: str, content: bytes) -> TargetFile:
        """Write an archive, which nobody reads before it is signed, and return its description."""
        file = TargetFile.from_data(target, content, ["sha256"])
        write(self._target_path(file), content)
        return file

    def sign_releases(self, releases: Releases, keys: Keys, now: datetime, added: Iterable[TargetFile] = ()) -> None:
        """Write and sign new releases, with archives that were written before. `refresh` makes them visible.

        Raises:
            ConfigError: there are too few keys, or a file cannot be written.
        """
        content = (releases.model_dump_json(indent=1, exclude_defaults=True) + "\n").encode()
        files = [*added, self.write_archive(RELEASES_TARGET, content)]
        self.targets.signed.targets.update({file.path: file for file in files})
        self.renew_targets(keys, now)
        self.releases = releases

    def renew_targets(self, keys: Keys, now: datetime) -> None:
        """Sign the targets again under the next version."""
        self._sign("targets", self.targets.signed, self.targets.signed.version + 1, keys, now)

    def renew_root(self, keys: Keys, now: datetime) -> None:
        """Sign the root again under the next version."""
        self._sign("root", self.root.signed, self.root.signed.version + 1, keys, now)

    def refresh(self, keys: Keys, now: datetime, *, new_snapshot: bool = False) -> None:
        """Write a new timestamp, and a new snapshot if there are new targets or the old one has lived half its days.

        Raises:
            ConfigError: the keys are missing, or a file cannot be written.
        """
        old, stamp = self.snapshot, self.timestamp
        snapshot = old.signed if old else Snapshot()
        half = timedelta(days=self.days("snapshot")) / 2
        if new_snapshot or not self.is_current() or snapshot.expires - now < half:
            snapshot.meta["targets.json"] = MetaFile(self.targets.signed.version)
            self._sign("snapshot", snapshot, snapshot.version + 1 if old else 1, keys, now)
        timestamp = stamp.signed if stamp else Timestamp()
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        self._sign("timestamp", timestamp, timestamp.version + 1 if stamp else 1, keys, now)
        self._remove_old()

    def read_target(self, target: str) -> bytes:
        """Read a file of the repository and verify it. Raises ConfigError if it is not as it was signed."""
        path = self._target_path(self.targets.signed.targets[target])
        try:
            content = path.read_bytes()
            self.targets.signed.targets[target].verify_length_and_hashes(content)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error
        except RepositoryError as error:
            raise ConfigError(f"{path}: is not as it was signed ({error})") from error
        return content

    def _sign(self, name: str, signed: _Signed, version: int, keys: Keys, now: datetime) -> None:
        """Give a role its next version and days, sign it and write its file."""
        signed.version = version
        signed.expires = expiry(now, self.days(name))
        write_signed(self.folder, name, sign(signed, name, self.signing_roles[name], keys))

    def _read_releases(self) -> Releases:
        if RELEASES_TARGET not in self.targets.signed.targets:
            return Releases()
        return parse_releases(self.read_target(RELEASES_TARGET))

    def _target_path(self, file: TargetFile) -> Path:
        folder, _, name = file.path.rpartition("/")
        return self.folder / "targets" / folder / f"{file.hashes['sha256']}.{name}"

    def _verify(self, name: str, metadata: Metadata[_Signed], file: str) -> None:
        try:
            self.root.signed.verify_delegate(name, metadata.signed_bytes, metadata.signatures)
        except (RepositoryError, ValueError) as error:
            raise ConfigError(
                f"{self._metadata / file}: is not signed by enough keys of {name}. Restore it from a copy"
            ) from error

    def _versions(self, name: str) -> list[int]:
        """The versions of a role's files that are there."""
        found = (
            re.fullmatch(rf"([1-9][0-9]{{0,8}})\.{name}\.json", path.name) for path in self._metadata.glob("*.json")
        )
        return [int(match[1]) for match in found if match]

    def _remove_old(self) -> None:
        """Remove what no client reads any more: old snapshots, old targets and their releases."""
        for name, current in (("snapshot", self.snapshot), ("targets", self.targets)):
            newest = current.signed.version if current else 0
            for version in self._versions(name):
                if version <= newest - _KEPT_VERSIONS:
                    (self._metadata / f"{version}.{name}.json").unlink(missing_ok=True)
        kept = set()
        for version in self._versions("targets"):
            targets = _read(Targets, self._metadata / f"{version}.targets.json").signed.targets
            kept |= {self._target_path(file) for name, file in targets.items() if name == RELEASES_TARGET}
        for path in (self.folder / "targets").glob(f"*.{RELEASES_TARGET}"):
            if path not in kept:
                path.unlink(missing_ok=True)


def first_root(keys: Mapping[str, list[Key]], thresholds: Mapping[str, int], days: Mapping[str, int]) -> Root:
    """Make the first root: keys, threshold and days of each role."""
    root = Root(consistent_snapshot=True)
    for name in ROLES:
        for key in keys[name]:
            root.add_key(key, name)
        root.roles[name].threshold = thresholds[name]
        root.roles[name].unrecognized_fields[_DAYS] = days[name]
    return root


def sign(signed: _Signed, name: str, roles: Iterable[Role], keys: Keys) -> Metadata[_Signed]:
    """Sign by as many keys as each of the roles needs. Raises ConfigError if there are too few."""
    metadata = Metadata(signed)
    for role in roles:
        for signer in keys.signers(name, role):
            metadata.sign(signer, append=True)
    return metadata


def write_signed(folder: Path, name: str, metadata: Metadata[_Signed]) -> None:
    """Write the file of a role into a repository's folder."""
    number = "" if name == "timestamp" else f"{metadata.signed.version}."
    write(folder / "metadata" / f"{number}{name}.json", metadata.to_bytes(JSONSerializer(compact=True)))


def expiry(now: datetime, days: int) -> datetime:
    """When a signature made now expires, in whole seconds."""
    return (now + timedelta(days=days)).astimezone(UTC).replace(microsecond=0)


def _read(kind: type[_Signed], path: Path) -> Metadata[_Signed]:
    try:
        metadata = Metadata.from_bytes(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({reason(error)}). Restore it from a copy") from error
    except DeserializationError as error:
        raise ConfigError(f"{path}: is malformed. Restore it from a copy") from error
    if not isinstance(metadata.signed, kind):
        raise ConfigError(f"{path}: is of another role. Restore it from a copy")
    return metadata
