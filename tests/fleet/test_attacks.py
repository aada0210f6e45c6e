"""Attacks on the metadata: TUF's own client refuses each, and the device keeps what it knew."""

import copy
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fleet_repository import PASSPHRASE, Device, Operator, offer_targets
from tests.update_server import UpdateServer
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root

from fer_edge.errors import ConfigError
from fer_edge.updates.releases import RELEASES_TARGET
from fer_fleet import operations
from fer_fleet.cli.options import now
from fer_fleet.creation import DEFAULT_SIGNERS, Signers, create
from fer_fleet.keys import Keys
from fer_fleet.repository import DEFAULT_DAYS, Repository
from fer_fleet.rotation import rotate

MODEL = "ferplus7-tiny"


@pytest.fixture
def published(operator: Operator, device: Device) -> Operator:
    """The device has seen version 0.1.0; 0.2.0 is published, and not yet seen."""
    operator.do("publish", operator.bundle("0.1.0"))
    device.update()
    operator.do("publish", operator.bundle("0.2.0"))
    return operator


def newest(repo: Path, role: str) -> Path:
    return max((repo / "metadata").glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0]))


def refuses(device: Device, error: type[Exception] | tuple[type[Exception], ...], known: tuple[str, ...]) -> None:
    with pytest.raises(error):
        device.update()
    assert device.knows() == known


# Changed files


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_changed_metadata(published: Operator, device: Device, role: str) -> None:
    path = published.repo / "metadata" / "timestamp.json" if role == "timestamp" else newest(published.repo, role)
    content = json.loads(path.read_bytes())
    content["signed"]["expires"] = "2199-01-01T00:00:00Z"
    path.write_text(json.dumps(content))
    refuses(device, UnsignedMetadataError, ("0.1.0",))
    assert published.run("verify").code == 1


def test_a_changed_root(published: Operator, device: Device) -> None:
    published.do("rotate", "timestamp")
    path = newest(published.repo, "root")
    content = json.loads(path.read_bytes())
    content["signed"]["roles"]["targets"]["threshold"] = 2
    path.write_text(json.dumps(content))
    refuses(device, UnsignedMetadataError, ("0.1.0",))


@pytest.mark.parametrize("target", ["bundle", "releases"])
def test_changed_files_of_the_same_length(published: Operator, device: Device, target: str) -> None:
    device.update()
    pattern = "*.0.2.0.tar" if target == "bundle" else f"*.{RELEASES_TARGET}"
    for path in (published.repo / "targets").rglob(pattern):
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
    client = device.client()
    described = client.get_targetinfo(f"bundles/{MODEL}/0.2.0.tar" if target == "bundle" else RELEASES_TARGET)
    assert described is not None
    with pytest.raises(LengthOrHashMismatchError):
        client.download_target(described)
    assert published.run("verify").code == 1


def test_a_model_of_another_release(published: Operator, device: Device) -> None:
    device.update()
    old, new = sorted((published.repo / "targets" / "bundles" / MODEL).iterdir(), key=lambda path: path.name[65:])
    shutil.copyfile(old, new)
    client = device.client()
    described = client.get_targetinfo(f"bundles/{MODEL}/0.2.0.tar")
    assert described is not None
    with pytest.raises(RepositoryError):
        client.download_target(described)


# Old files, and mixed ones


@pytest.mark.parametrize("only", ["all", "timestamp"])
def test_an_older_repository_is_offered_again(operator: Operator, device: Device, only: str) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    shutil.copytree(operator.repo / "metadata", operator.folder / "older")
    operator.do("publish", operator.bundle("0.2.0"))
    device.update()
    if only == "all":
        shutil.rmtree(operator.repo / "metadata")
        shutil.copytree(operator.folder / "older", operator.repo / "metadata")
    else:
        shutil.copyfile(operator.folder / "older" / "timestamp.json", operator.repo / "metadata" / "timestamp.json")
    refuses(device, BadVersionNumberError, ("0.1.0", "0.2.0"))


def test_an_older_releases_file_under_a_newer_name(published: Operator, device: Device, server: UpdateServer) -> None:
    old, new = (newest(published.repo, "targets").with_name(f"{version}.targets.json") for version in (2, 3))
    server.instead[f"metadata/{new.name}"] = old.read_bytes()
    refuses(device, BadVersionNumberError, ("0.1.0",))


def test_a_snapshot_that_mixes_two_releases(
    published: Operator, device: Device, server: UpdateServer, keys: Keys
) -> None:
    """Whoever has the online keys alone can offer a newer snapshot with older targets, and no device follows."""
    device.update()
    server.instead |= offer_targets(2, Repository(published.repo), keys)
    refuses(device, BadVersionNumberError, ("0.1.0", "0.2.0"))


def test_the_online_keys_alone_publish_nothing(
    published: Operator, device: Device, server: UpdateServer, keys: Keys
) -> None:
    device.update()
    repository = Repository(published.repo)
    targets = copy.deepcopy(repository.targets.signed)
    targets.version += 1
    forged = Metadata(targets)
    for signer in keys.signers("snapshot", repository.role("snapshot")):
        forged.sign(signer)
    server.instead[f"metadata/{targets.version}.targets.json"] = forged.to_bytes()
    server.instead |= offer_targets(targets.version, repository, keys)
    refuses(device, UnsignedMetadataError, ("0.1.0", "0.2.0"))


def test_a_repository_that_stands_still_for_weeks(tmp_path: Path, server: UpdateServer) -> None:
    """A freeze: somebody keeps answering with what was true once. The timestamp expires after seven days."""
    for days, fresh in ((6, True), (8, False)):
        folder = tmp_path / f"frozen-{days}"
        create(
            folder, tmp_path / f"keys-{days}", PASSPHRASE, DEFAULT_DAYS, DEFAULT_SIGNERS, now() - timedelta(days=days)
        )
        server.folder = folder
        device = Device(tmp_path / f"device-{days}", server.url, (folder / "metadata" / "1.root.json").read_bytes())
        if fresh:
            device.client().refresh()
        else:
            with pytest.raises(ExpiredMetadataError, match=r"timestamp.json is expired"):
                device.client().refresh()


def test_endless_data(published: Operator, device: Device, server: UpdateServer) -> None:
    for role, limit in (("timestamp", 16384), (f"{newest(published.repo, 'targets').name[0]}.targets", 5_000_000)):
        server.endless, server.sent = f"metadata/{role}.json", 0
        refuses(device, DownloadLengthMismatchError, ("0.1.0",))
        assert server.sent < limit + 20_000_000  # what was on its way when the client had enough


@pytest.mark.usefixtures("published")
def test_an_endless_model(device: Device, server: UpdateServer) -> None:
    described = device.client().get_targetinfo(f"bundles/{MODEL}/0.2.0.tar")
    assert described is not None
    server.endless = f"targets/bundles/{MODEL}/{described.hashes['sha256']}.0.2.0.tar"
    with pytest.raises(DownloadLengthMismatchError):
        device.client().download_target(described)


# Keys


def next_root(repository: Repository, change: Callable[[Root], None]) -> Root:
    root = copy.deepcopy(repository.root.signed)
    root.version += 1
    change(root)
    return root


def test_one_root_key_of_three_is_below_the_threshold(operator: Operator, device: Device, keys: Keys) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    device.update()
    repository = Repository(operator.repo)
    thief = keys.signers("root", repository.role("root"))[0]
    root = next_root(repository, lambda root: root.add_key(thief.public_key, "targets"))
    forged = Metadata(root)
    forged.sign(thief)
    (operator.repo / "metadata" / "2.root.json").write_bytes(forged.to_bytes())
    refuses(device, UnsignedMetadataError, ("0.1.0",))
    assert "is not signed by enough keys of root" in operator.run("show").err


def test_one_signature_twice_is_below_the_threshold(operator: Operator, device: Device, keys: Keys) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    device.update()
    repository = Repository(operator.repo)
    thief = keys.signers("root", repository.role("root"))[0]
    forged = Metadata(next_root(repository, lambda _: None))
    signature = forged.sign(thief)
    other = next(key_id for key_id in repository.role("root").keyids if key_id != thief.public_key.keyid)
    content = json.loads(forged.to_bytes())
    content["signatures"].append({"keyid": other, "sig": signature.signature})
    (operator.repo / "metadata" / "2.root.json").write_text(json.dumps(content))
    refuses(device, UnsignedMetadataError, ("0.1.0",))


def test_two_targets_keys_where_two_have_to_sign(
    operator: Operator, device: Device, tmp_path: Path, server: UpdateServer
) -> None:
    signers = {**DEFAULT_SIGNERS, "targets": Signers(2, 2)}
    folder, key_folder = tmp_path / "strict", tmp_path / "strict.keys"
    create(folder, key_folder, PASSPHRASE, DEFAULT_DAYS, signers, now())
    server.folder = folder
    device.root = (folder / "metadata" / "1.root.json").read_bytes()
    device.client().refresh()
    bundle = operator.bundle("0.1.0")
    stick = tmp_path / "stick"
    stick.mkdir()
    taken = sorted(key_folder.glob("targets-*.pem"))[1]
    moved = taken.rename(stick / taken.name)
    refused = operator.run("publish", bundle, "--repo", folder, "--keys", key_folder)
    assert f"targets: needs 2 of its keys, and 1 are in {key_folder}. Bring one of {moved.name}" in refused.err
    operator.do("publish", bundle, "--repo", folder, "--keys", key_folder, "--keys", stick)
    assert device.update().models[MODEL].releases[0].version == "0.1.0"


def test_a_revoked_key_signs_nothing_any_more(
    published: Operator, device: Device, server: UpdateServer, keys: Keys
) -> None:
    before = Repository(published.repo)
    stolen = keys.signers("targets", before.role("targets"))[0]
    published.do("rotate", "targets")
    device.update()
    after = Repository(published.repo)
    targets = copy.deepcopy(after.targets.signed)
    targets.version += 1
    forged = Metadata(targets)
    forged.sign(stolen)
    (published.repo / "metadata" / f"{targets.version}.targets.json").write_bytes(forged.to_bytes())
    assert "is not signed by enough keys of targets" in published.run("refresh").err  # nor does the operator sign it
    server.instead |= offer_targets(targets.version, after, keys)
    refuses(device, UnsignedMetadataError, ("0.1.0", "0.2.0"))


def test_new_keys_may_have_another_passphrase(operator: Operator, device: Device) -> None:
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return PASSPHRASE

    old = {path.name for path in operator.keys.iterdir()}
    rotate(operator.repo, ["root", "targets"], [], Keys([operator.keys], ask), "another", now())
    device.client().refresh()
    assert len(asked) == 1  # the old keys have one passphrase, and the new one was just given
    assert asked[0] in old
    with pytest.raises(ConfigError, match="the passphrase is wrong"):
        rotate(operator.repo, ["targets"], [], Keys([operator.keys], ask), "another", now())
    assert Repository(operator.repo).root.signed.version == 2


@pytest.mark.parametrize("roles", [("targets",), ("timestamp",), ("snapshot", "timestamp")], ids=" ".join)
def test_a_device_follows_when_keys_were_lost(operator: Operator, device: Device, roles: tuple[str, ...]) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    device.update()
    for role in roles:
        next(operator.keys.glob(f"{role}-*.pem")).unlink()
    operator.do("rotate", *roles)
    operator.do("publish", operator.bundle("0.2.0"))
    assert len(device.update().models[MODEL].releases) == 2
    operator.do("verify")


def test_one_lost_root_key_is_replaced_by_the_two_others(operator: Operator, device: Device) -> None:
    device.client().refresh()
    lost = min(operator.keys.glob("root-*.pem"))
    lost.unlink()
    operator.do("rotate", "root", "--lost", lost.stem.removeprefix("root-"))
    role = Repository(operator.repo).role("root")
    assert (len(role.keyids), role.threshold) == (3, 2)
    assert not any(lost.stem.endswith(key_id[:12]) for key_id in role.keyids)
    device.client().refresh()
    for path in sorted(operator.keys.glob("root-*.pem"))[1:]:
        path.unlink()
    refused = operator.run("rotate", "targets")
    assert refused.code == 2
    assert "root: needs 2 of its keys, and 1 are in" in refused.err
    assert "is not the id of one of root's keys" in operator.run("rotate", "root", "--lost", "beef").err


def test_a_device_follows_three_rotations_of_root(operator: Operator, device: Device) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    device.update()
    for _ in range(3):
        kept = set(operator.keys.glob("root-*.pem"))
        operator.do("rotate", "root")
        for old in kept:
            old.unlink()
    operator.do("publish", operator.bundle("0.2.0"))
    assert len(device.update().models[MODEL].releases) == 2
    assert newest(operator.repo, "root").name == "4.root.json"


def test_a_device_follows_roots_that_expired_years_ago(tmp_path: Path, server: UpdateServer, device: Device) -> None:
    """A device that was off for three years: only the newest root has to be valid."""
    folder, key_folder, ask = tmp_path / "old", tmp_path / "old.keys", lambda _: PASSPHRASE
    years = timedelta(days=365)
    create(folder, key_folder, PASSPHRASE, DEFAULT_DAYS, DEFAULT_SIGNERS, now() - 4 * years)
    device.root = (folder / "metadata" / "1.root.json").read_bytes()
    server.folder = folder
    for ago in (3, 2):
        rotate(folder, ["root"], [], Keys([key_folder], ask), PASSPHRASE, now() - ago * years)
    operations.refresh(folder, Keys([key_folder], ask), now())
    with pytest.raises(ExpiredMetadataError, match=r"root.json is expired"):
        device.client().refresh()
    rotate(folder, ["root"], [], Keys([key_folder], ask), PASSPHRASE, now())
    operations.refresh(folder, Keys([key_folder], ask), now(), offline=True)
    device.client().refresh()


def test_a_chain_of_roots_with_a_gap_is_not_followed(operator: Operator, device: Device) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    device.update()
    operator.do("rotate", "root")
    operator.do("rotate", "targets")
    (operator.repo / "metadata" / "2.root.json").unlink()
    operator.do("publish", operator.bundle("0.2.0"))
    refuses(device, UnsignedMetadataError, ("0.1.0",))


def test_snapshot_and_targets_of_another_role_are_refused(operator: Operator) -> None:
    path = newest(operator.repo, "targets")
    shutil.copyfile(newest(operator.repo, "snapshot"), path)
    assert "is of another role" in operator.run("show").err
    path.write_bytes(b"{")
    assert "is malformed. Restore it from a copy" in operator.run("show").err
