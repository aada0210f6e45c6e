"""A repository of a fleet, served by a real web server, and devices that read it with TUF's own client."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tuf.api.metadata import MetaFile
from tuf.ngclient import Updater

from fer_edge.errors import ConfigError
from fer_edge.model.bundle import find_bundle, sha256
from fer_edge.updates.releases import Releases, parse_releases
from fer_fleet.cli.app import run
from fer_fleet.keys import Keys
from fer_fleet.repository import Repository, sign

PASSPHRASE = "correct horse"  # noqa: S105


def said(change: Callable[[], object]) -> str:
    """What is said to the operator whose change is refused."""
    with pytest.raises(ConfigError) as caught:
        change()
    return str(caught.value)


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Operator:
    """Somebody at a workstation, with a repository and its keys."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def keys(self) -> Path:
        return self.folder / "repo.keys"

    def run(self, *words: object) -> Done:
        """Run a command of fer-fleet in this process."""
        given = [str(word) for word in words]
        where = [] if given[0] in {"init", "status", "collect", "devices"} else ["--repo", str(self.repo)]
        self.capture.readouterr()
        with self.patch.context() as patch:
            patch.setattr(sys, "argv", ["fer-fleet", given[0], *where, *given[1:]])
            with pytest.raises(SystemExit) as ended:
                run()
        printed = self.capture.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    def do(self, *words: object) -> str:
        """Run a command that must succeed."""
        done = self.run(*words)
        assert done.code == 0, done.err
        return done.out

    def bundle(
        self, version: str, *, name: str = "ferplus7-tiny", report: object = None, of: str = "ferplus7-tiny"
    ) -> Path:
        """A copy of a shipped bundle under another version; with another report of fer-quantize, if one is given."""
        folder = self.folder / f"bundle-{name}-{version}"
        shutil.copytree(find_bundle(of), folder)
        path = folder / "model.json"
        manifest = {**json.loads(path.read_text()), "version": version, "name": name}
        if report is not None:
            content = json.dumps(report).encode()
            (folder / "quantization.json").write_bytes(content)
            manifest["files"]["quantization.json"] = sha256(content)
        path.write_text(json.dumps(manifest))
        return folder

    def report(self) -> dict[str, list[dict[str, dict[str, object]]]]:
        """What fer-quantize measured of the shipped bundle."""
        return json.loads((find_bundle("ferplus7-tiny") / "quantization.json").read_text())  # type: ignore[no-any-return]


@dataclass
class Device:
    """A device that trusts the first root of a repository."""

    folder: Path
    url: str
    root: bytes

    def update(self) -> Releases:
        """Read what the repository offers now."""
        client = self.client()
        target = client.get_targetinfo("releases.json")
        assert target is not None
        return parse_releases(Path(client.download_target(target)).read_bytes())

    def client(self) -> Updater:
        """A client that remembers what it has seen before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Updater(
            str(self.folder), f"{self.url}/metadata", str(self.folder), f"{self.url}/targets", bootstrap=self.root
        )

    def knows(self) -> tuple[str, ...]:
        """The versions of the releases that it has on its own disk."""
        content = (self.folder / "releases.json").read_bytes()
        return tuple(release.version for model in parse_releases(content).models.values() for release in model.releases)


def offer_targets(version: int, repository: Repository, keys: Keys) -> dict[str, bytes]:
    """A newer snapshot and timestamp, signed with the online keys, that name this version of the targets."""
    snapshot, timestamp = repository.snapshot, repository.timestamp
    assert snapshot is not None
    assert timestamp is not None
    snapshot.signed.meta["targets.json"] = MetaFile(version)
    snapshot.signed.version += 1
    timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
    timestamp.signed.version += 1
    signed = sign(snapshot.signed, "snapshot", [repository.role("snapshot")], keys)
    stamp = sign(timestamp.signed, "timestamp", [repository.role("timestamp")], keys)
    return {
        f"metadata/{snapshot.signed.version}.snapshot.json": signed.to_bytes(),
        "metadata/timestamp.json": stamp.to_bytes(),
    }
