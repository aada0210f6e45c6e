"""For how long signatures are valid, when they are renewed, and what is kept: a repository over weeks."""

import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fleet_repository import PASSPHRASE, Operator, said

from fer_edge.errors import ConfigError, FerError
from fer_edge.updates.releases import Releases
from fer_fleet import edits, operations
from fer_fleet.creation import DEFAULT_SIGNERS, create
from fer_fleet.files import locked
from fer_fleet.gate import check
from fer_fleet.keys import Keys
from fer_fleet.repository import ROLES, Repository
from fer_fleet.rotation import rotate
from fer_fleet.verification import role_states, verify

NOW = datetime.now(UTC).replace(microsecond=0)
DAYS = {"root": 100, "targets": 50, "snapshot": 20, "timestamp": 4}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    create(tmp_path / "repo", tmp_path / "keys", PASSPHRASE, DAYS, DEFAULT_SIGNERS, NOW)
    return tmp_path / "repo"


@pytest.fixture
def keys(repo: Path) -> Keys:
    return Keys([repo.with_name("keys")], lambda _: PASSPHRASE)


def in_days(days: float) -> datetime:
    return NOW + timedelta(days=days)


def states(repo: Path, at: datetime = NOW) -> dict[str, tuple[int, float]]:
    """Version of each role, and the days that are left."""
    return {state.name: (state.version, state.days_left) for state in role_states(Repository(repo), at)}


def publish(repo: Path, keys: Keys, version: str, at: datetime = NOW) -> bool:
    def edit(old: Releases) -> Releases:
        return edits.publish(old, "mine", version, "beta", 0, None, at)

    return operations.change(repo, keys, edit, at)


def test_each_role_is_valid_for_its_days_and_due_when_a_quarter_is_left(repo: Path) -> None:
    assert states(repo) == {role: (1, DAYS[role]) for role in ROLES}
    for passed in (2.9, 3.1, 14.9, 15.1, 37.4, 37.6, 74.9, 75.1):
        due = {state.name for state in role_states(Repository(repo), in_days(passed)) if state.due}
        assert due == {role for role, days in DAYS.items() if passed > 0.75 * days}


def test_a_refresh_renews_the_timestamp_and_the_snapshot_after_half_its_days(repo: Path, keys: Keys) -> None:
    operations.refresh(repo, keys, in_days(9))
    assert states(repo) == {"root": (1, 100), "targets": (1, 50), "snapshot": (1, 20), "timestamp": (2, 13)}
    operations.refresh(repo, keys, in_days(11))
    assert states(repo) == {"root": (1, 100), "targets": (1, 50), "snapshot": (2, 31), "timestamp": (3, 15)}


def test_all_is_renewed_on_request_so_that_devices_see_it(repo: Path, keys: Keys) -> None:
    asked = iter([PASSPHRASE])
    operations.refresh(repo, Keys(keys.folders, lambda _: next(asked)), in_days(1), offline=True)  # asked once
    assert states(repo) == {"root": (2, 101), "targets": (2, 51), "snapshot": (2, 21), "timestamp": (2, 5)}
    assert Repository(repo).is_current()
    assert verify(repo) == (0, 0)


def test_without_an_online_key_devices_wait_for_a_refresh(repo: Path, keys: Keys, tmp_path: Path) -> None:
    (key,) = keys.folders[0].glob("snapshot-*.pem")
    shutil.move(key, tmp_path)
    assert publish(repo, keys, "1") is False
    assert not Repository(repo).is_current()
    shutil.move(tmp_path / key.name, key)
    operations.refresh(repo, keys, NOW)
    assert Repository(repo).is_current()
    assert publish(repo, keys, "2") is True


def test_the_last_five_versions_are_kept_for_devices_that_read_them(repo: Path, keys: Keys) -> None:
    for number in range(11):
        publish(repo, keys, f"1.{number}", in_days(number / 10))
    files = {path.name for path in (repo / "metadata").iterdir()}
    kept = {f"{version}.{role}.json" for version in range(8, 13) for role in ("targets", "snapshot")}
    assert files == kept | {"1.root.json", "timestamp.json"}
    assert len(list((repo / "targets").glob("*.releases.json"))) == 5
    assert len(Repository(repo).releases.models["mine"].releases) == 11


def test_what_changes_nothing_signs_no_targets(repo: Path, keys: Keys) -> None:
    operations.change(repo, keys, lambda releases: releases, NOW)
    assert states(repo)["targets"] == (1, 50)


# Keys


def test_keys_are_for_their_owner_alone_and_those_of_people_are_encrypted(keys: Keys) -> None:
    (folder,) = keys.folders
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 6
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert (b"ENCRYPTED" in path.read_bytes()) == path.name.startswith(("root", "targets"))


def test_a_file_with_another_key_than_its_name_says_is_refused(repo: Path, keys: Keys) -> None:
    (timestamp,), (snapshot,) = (list(keys.folders[0].glob(f"{role}-*.pem")) for role in ("timestamp", "snapshot"))
    shutil.copy(snapshot, timestamp)
    with pytest.raises(ConfigError, match="holds another key than its name says"):
        operations.refresh(repo, keys, NOW)


@pytest.mark.parametrize("role", ["root", "targets"])
def test_files_that_somebody_changed_are_not_signed_again(repo: Path, role: str) -> None:
    path = repo / "metadata" / f"1.{role}.json"
    content = path.read_text()
    assert '"spec_version":"1.0' in content
    path.write_text(content.replace('"version":1', '"version":1,"x-more":0'))
    with pytest.raises(ConfigError, match=f"1.{role}.json: is not signed by enough keys of {role}"):
        Repository(repo)


def test_a_rotation_makes_the_next_root_valid_for_its_days(repo: Path, keys: Keys) -> None:
    before = {path.name for path in keys.folders[0].iterdir()}
    with pytest.raises(ConfigError, match="is not the id of one of targets's keys"):
        rotate(repo, ["targets"], [""], keys, PASSPHRASE, in_days(1))
    assert {path.name for path in keys.folders[0].iterdir()} == before, "refused before a key is made"
    rotate(repo, ["targets"], [], keys, PASSPHRASE, in_days(1))
    assert states(repo) == {"root": (2, 101), "targets": (2, 51), "snapshot": (2, 21), "timestamp": (2, 5)}
    assert verify(repo) == (0, 0)
    for path in keys.folders[0].glob("snapshot-*.pem"):
        path.unlink()
    made = {path.name for path in keys.folders[0].iterdir()}
    with pytest.raises(ConfigError, match="snapshot: needs 1 of its keys"):
        rotate(repo, ["targets"], [], keys, PASSPHRASE, in_days(1))
    assert {path.name for path in keys.folders[0].iterdir()} == made


@pytest.mark.parametrize(
    ("keys", "passphrase", "threshold", "message"),
    [
        ("repo/keys", PASSPHRASE, 1, "is in the repository, which everybody can read"),
        ("keys", "", 1, "the passphrase is empty"),
        ("keys", PASSPHRASE, 2, "targets: 2 of 1 keys cannot sign. The threshold is from 1 to 1"),
    ],
)
def test_what_makes_no_sense_makes_no_repository(
    tmp_path: Path, keys: str, passphrase: str, threshold: int, message: str
) -> None:
    signers = DEFAULT_SIGNERS | {"targets": DEFAULT_SIGNERS["targets"]._replace(threshold=threshold)}
    with pytest.raises(ConfigError, match=message):
        create(tmp_path / "repo", tmp_path / keys, passphrase, DAYS, signers, NOW)
    assert list(tmp_path.iterdir()) == []


def test_root_needs_no_more_signatures_than_its_threshold(repo: Path) -> None:
    root = Repository(repo).root
    assert (len(root.signed.roles["root"].keyids), len(root.signatures)) == (3, 2)


def test_keys_are_found_in_all_folders(repo: Path, keys: Keys, tmp_path: Path) -> None:
    """The timestamp's key is on a stick."""
    (key,) = keys.folders[0].glob("timestamp-*.pem")
    (tmp_path / "stick").mkdir()
    shutil.move(key, tmp_path / "stick")
    operations.refresh(repo, Keys([keys.folders[0], tmp_path / "stick"], lambda _: PASSPHRASE), in_days(1))
    assert states(repo)["timestamp"] == (2, 5)


@pytest.mark.parametrize("names", [["snapshot"], ["timestamp"], ["targets", "snapshot"]])
def test_new_online_keys_sign_at_once_and_are_not_encrypted(repo: Path, keys: Keys, names: list[str]) -> None:
    made = rotate(repo, names, [], keys, PASSPHRASE, in_days(1))
    assert list(made) == names
    assert verify(repo) == (0, 0)
    for name in names:
        (key,) = made[name]
        (path,) = keys.folders[0].glob(f"{name}-{key.keyid[:12]}.pem")
        assert (b"ENCRYPTED" in path.read_bytes()) == (name == "targets")
        assert Repository(repo).role(name).keyids == [key.keyid]


def test_of_two_roles_one_may_have_lost_its_keys(repo: Path, keys: Keys) -> None:
    (lost,) = keys.folders[0].glob("targets-*.pem")
    lost.unlink()
    rotate(repo, ["targets", "snapshot"], [], keys, PASSPHRASE, in_days(1))
    assert verify(repo) == (0, 0)


def test_lost_keys_are_those_of_one_role(repo: Path, keys: Keys) -> None:
    before = sorted(keys.folders[0].iterdir())
    with pytest.raises(ConfigError, match="--lost names keys of one role"):
        rotate(repo, ["root", "targets"], ["a"], keys, PASSPHRASE, NOW)
    assert sorted(keys.folders[0].iterdir()) == before


def test_a_root_of_years_is_no_wrong_clock_while_other_files_are_fresh(tmp_path: Path, operator: Operator) -> None:
    """The clock is compared with the newest file, not with the oldest."""
    repo, bundle = tmp_path / "old", operator.bundle("0.2.0")
    days = DAYS | {"root": 3000, "targets": 3000}
    create(repo, tmp_path / "old.keys", PASSPHRASE, days, DEFAULT_SIGNERS, in_days(-800))
    own = Keys([tmp_path / "old.keys"], lambda _: PASSPHRASE)
    with pytest.raises(ConfigError, match="and the newest file was signed on"):
        operations.publish(repo, own, check(bundle), "beta", 100, None, NOW)
    operations.refresh(repo, own, in_days(-1))
    assert operations.publish(repo, own, check(bundle), "beta", 100, None, NOW)


# What a device would accept


def test_it_is_told_how_much_a_device_would_read(operator: Operator) -> None:
    for version in ("0.1.0", "0.2.0"):
        operator.do("publish", operator.bundle(version))
    read = list((operator.repo / "targets").rglob("*.tar"))
    releases = Repository(operator.repo).targets.signed.targets["releases.json"].length
    assert len(read) == 2
    size = releases + sum(path.stat().st_size for path in read)
    assert verify(operator.repo) == (3, size)
    assert operator.do("verify") == f"{operator.repo}: a device accepts it: 3 files, {size / 1e6:.1f} MB\n"
    read[0].unlink()
    with pytest.raises(FerError, match="missing"):
        verify(operator.repo)


def test_a_device_with_the_root_of_another_repository_accepts_nothing(repo: Path, tmp_path: Path) -> None:
    create(tmp_path / "other", tmp_path / "other.keys", PASSPHRASE, DAYS, DEFAULT_SIGNERS, NOW)
    root = tmp_path / "other" / "metadata" / "1.root.json"
    assert verify(tmp_path / "other", root) == (0, 0)
    with pytest.raises(FerError, match="it was changed, or signed by other keys"):
        verify(repo, root)


def test_what_has_expired_is_said_with_what_renews_it(tmp_path: Path) -> None:
    create(tmp_path / "repo", tmp_path / "keys", PASSPHRASE, DAYS, DEFAULT_SIGNERS, in_days(-5))
    with pytest.raises(FerError, match=r"timestamp\.json.*: renew it with fer-fleet refresh$"):
        verify(tmp_path / "repo")


def test_releases_that_somebody_changed_are_not_signed_again(operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"))
    (path,) = (operator.repo / "targets").glob("*.releases.json")
    path.write_text(path.read_text().replace('"beta"', '"stable"'))
    done = operator.run("halt", "0.2.0")
    assert done.code == 2
    assert f"{path}: is not as it was signed" in done.err


def test_verify_warns_of_what_is_due_and_of_what_devices_do_not_get(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    operator.do("publish", operator.bundle("0.2.0"))
    assert operator.run("verify").err == ""
    for days, warnings in {6: ["timestamp expires in 1.0 days: renew it with fer-fleet refresh"], 150: [
        "targets expires in 30.0 days: renew it with fer-fleet refresh --all",
        "snapshot expires in -120.0 days: renew it with fer-fleet refresh",
        "timestamp expires in -143.0 days: renew it with fer-fleet refresh",
    ]}.items():  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr("fer_fleet.cli.repository.now", lambda days=days: datetime.now(UTC) + timedelta(days=days))
            said = operator.run("verify").err.splitlines()
        assert said == [f"warning: {warning}" for warning in warnings]
    (key,) = operator.keys.glob("snapshot-*.pem")
    shutil.move(key, tmp_path)
    operator.do("publish", operator.bundle("0.3.0"))
    assert "devices do not get the newest releases yet" in operator.run("verify").err


def test_a_repository_is_made_as_it_is_told_to(operator: Operator, tmp_path: Path) -> None:
    words = ["--root-keys", 4, "--root-threshold", 3, "--targets-keys", 2, "--targets-threshold", 1]
    for role, days in {"root": 400, "targets": 200, "snapshot": 40, "timestamp": 9}.items():
        words += [f"--{role}-days", days]
    made = tmp_path / "made"
    said = operator.do("init", made, *words)
    repository = Repository(made)
    signers = {name: (len(repository.role(name).keyids), repository.role(name).threshold) for name in ROLES}
    assert signers == {"root": (4, 3), "targets": (2, 1), "snapshot": (1, 1), "timestamp": (1, 1)}
    assert {name: repository.days(name) for name in ROLES} == {
        "root": 400, "targets": 200, "snapshot": 40, "timestamp": 9,
    }  # fmt: skip
    digest = hashlib.sha256((made / "metadata" / "1.root.json").read_bytes()).hexdigest()
    assert said.splitlines()[-1].rpartition("fingerprint is ")[2].replace(" ", "") == digest
    renewed = operator.do("refresh")
    timestamp = Repository(operator.repo).timestamp
    assert timestamp is not None
    assert f"valid until {timestamp.signed.expires:%Y-%m-%d %H:%M} UTC" in renewed


def test_a_repository_whose_keys_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        create(tmp_path / "repo", tmp_path / "file" / "keys", PASSPHRASE, DAYS, DEFAULT_SIGNERS, NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# The files of a repository


def test_the_releases_are_a_file_that_people_can_read(repo: Path, keys: Keys) -> None:
    """A line per value, without those that nobody gave."""
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    operations.change(repo, keys, lambda old: edits.publish(old, "mine", "1", "beta", 5, None, at), NOW)
    (path,) = (repo / "targets").iterdir()
    content = path.read_bytes()
    assert path.name == f"{hashlib.sha256(content).hexdigest()}.releases.json"
    assert content.decode() == (
        '{\n "models": {\n  "mine": {\n   "releases": [\n    {\n     "version": "1",\n'
        '     "published": "2026-06-01T12:00:00Z"\n    }\n   ],\n'
        '   "beta": [\n    {\n     "version": "1",\n     "percent": 5.0\n    }\n   ]\n  }\n }\n}\n'
    )


def test_an_archive_lies_under_its_name_and_its_hash(repo: Path, keys: Keys) -> None:
    repository = Repository(repo)
    file = repository.write_archive("bundles/mine/1.tar", b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    path = repo / "targets" / "bundles" / "mine" / f"{digest}.1.tar"
    assert path.read_bytes() == b"content"
    assert (file.path, file.length, file.hashes) == ("bundles/mine/1.tar", 7, {"sha256": digest})
    repository.sign_releases(Releases(), keys, NOW, [file])
    again = Repository(repo)
    assert set(again.targets.signed.targets) == {"bundles/mine/1.tar", "releases.json"}
    assert again.read_target("bundles/mine/1.tar") == b"content"
    path.write_bytes(b"Content")
    assert said(lambda: again.read_target("bundles/mine/1.tar")).startswith(f"{path}: is not as it was signed (")
    path.unlink()
    assert said(lambda: again.read_target("bundles/mine/1.tar")) == (
        f"{path}: cannot be read (No such file or directory)"
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("1.root.json", None, "cannot be read (Is a directory)"),
        ("1.targets.json", None, "cannot be read (Is a directory)"),
        ("1.root.json", "{", "is malformed"),
        ("1.targets.json", "{}", "is malformed"),
        ("1.targets.json", "1.snapshot.json", "is of another role"),
        ("1.root.json", "timestamp.json", "is of another role"),
    ],
)
def test_a_damaged_file_of_a_repository_is_named(repo: Path, name: str, content: str | None, problem: str) -> None:
    path = repo / "metadata" / name
    if content is None:
        path.unlink()
        path.mkdir()
    elif content.endswith(".json"):
        path.write_bytes((path.parent / content).read_bytes())
    else:
        path.write_text(content)
    assert said(lambda: Repository(repo)) == f"{path}: {problem}. Restore it from a copy"


def test_a_damaged_timestamp_or_snapshot_is_named_where_it_is_needed(repo: Path, keys: Keys) -> None:
    for name in ("timestamp.json", "1.snapshot.json"):
        path = repo / "metadata" / name
        whole = path.read_bytes()
        path.write_text("{")
        repository = Repository(repo)
        for use in (repository.is_current, lambda: operations.refresh(repo, keys, NOW)):
            assert said(use) == f"{path}: is malformed. Restore it from a copy"
        path.write_bytes(whole)
    assert Repository(repo).is_current()


def test_only_numbered_files_are_versions(repo: Path) -> None:
    """What an editor or a copy leaves is no newer root."""
    for name in ("02.root.json", "9.root.json.bak", "x2.root.json", "2.root.jsonx", "2xroot.json", "0.root.json"):
        (repo / "metadata" / name).write_text("{}")
    assert Repository(repo).root.signed.version == 1


def test_the_newest_file_is_found_by_its_number(repo: Path, keys: Keys) -> None:
    """10 is newer than 9."""
    for _ in range(9):
        operations.refresh(repo, keys, NOW, offline=True)
    assert states(repo)["root"][0] == 10
    assert states(repo)["targets"][0] == 10
    assert verify(repo) == (0, 0)


def test_files_have_whole_seconds_and_the_names_of_their_roles(repo: Path, keys: Keys) -> None:
    operations.refresh(repo, keys, NOW + timedelta(microseconds=7))
    timestamp = Repository(repo).timestamp
    assert timestamp is not None
    assert timestamp.signed.expires.replace(tzinfo=UTC) == NOW + timedelta(days=4)
    assert {path.name for path in (repo / "metadata").iterdir()} == {
        "1.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json",
    }  # fmt: skip
    content = (repo / "metadata" / "1.root.json").read_bytes()
    assert b"\n" not in content, "as small as can be: devices fetch it"
    assert b'"x-fer-fleet-days":100' in content
    assert Repository(repo).root.signed.consistent_snapshot is True


def test_a_repository_of_another_tool_has_the_usual_days(repo: Path) -> None:
    repository = Repository(repo)
    for name in ROLES:
        repository.role(name).unrecognized_fields.clear()
    assert {name: repository.days(name) for name in ROLES} == {
        "root": 365, "targets": 180, "snapshot": 30, "timestamp": 7,
    }  # fmt: skip


def test_before_a_timestamp_nothing_is_current_and_two_roles_have_a_state(repo: Path, keys: Keys) -> None:
    """As after a crash in the first minute."""
    for name in ("timestamp", "1.snapshot"):
        (repo / "metadata" / f"{name}.json").unlink()
    repository = Repository(repo)
    assert (repository.timestamp, repository.snapshot, repository.is_current()) == (None, None, False)
    assert repository.signed_at == NOW
    assert list(states(repo)) == ["root", "targets"]
    operations.refresh(repo, keys, NOW)
    assert states(repo) == {role: (1, DAYS[role]) for role in ROLES}
    assert verify(repo) == (0, 0)


def test_the_newest_file_says_when_the_repository_was_signed(repo: Path, keys: Keys) -> None:
    assert Repository(repo).signed_at == NOW
    operations.refresh(repo, keys, in_days(3))
    assert Repository(repo).signed_at == in_days(3)
    (repo / "metadata" / "timestamp.json").unlink()
    assert Repository(repo).signed_at == NOW


def test_a_role_is_described_with_its_keys_and_its_command(repo: Path) -> None:
    repository = Repository(repo)
    for state in role_states(repository, NOW):
        role = repository.role(state.name)
        assert state.expires == in_days(DAYS[state.name])
        assert (state.threshold, state.keys) == (role.threshold, tuple(key[:12] for key in role.keyids))
        offline = state.name in {"root", "targets"}
        assert state.how_to_renew == ("fer-fleet refresh --all" if offline else "fer-fleet refresh")


def test_a_root_that_is_not_there_is_one_line(repo: Path) -> None:
    assert said(lambda: verify(repo, repo / "none")) == f"{repo}/none: cannot be read (No such file or directory)"
    (repo / "metadata" / "1.root.json").rename(repo / "root.json")
    assert said(lambda: verify(repo)).startswith(f"{repo}/metadata/1.root.json: cannot be read (")
    (repo / "root.json").rename(repo / "metadata" / "1.root.json")


def test_a_release_that_was_not_signed_is_named(repo: Path, keys: Keys) -> None:
    """And one that is signed is read whole."""
    publish(repo, keys, "1")
    with pytest.raises(FerError) as caught:
        verify(repo)
    assert str(caught.value) == f"{repo}: bundles/mine/1.tar: is rolled out, but was not signed"
    repository = Repository(repo)
    file = repository.write_archive("bundles/mine/1.tar", b"content")
    repository.sign_releases(repository.releases, keys, NOW, [file])
    operations.refresh(repo, keys, NOW)
    assert verify(repo) == (2, 7 + repository.targets.signed.targets["releases.json"].length)


def test_a_locked_or_absent_folder_is_one_line(repo: Path, keys: Keys) -> None:
    nothing = repo / "nothing"
    with locked(repo):
        assert said(lambda: operations.refresh(repo, keys, NOW)) == (
            f"{repo}: another fer-fleet is changing it. Wait until it is done"
        )
    operations.refresh(repo, keys, NOW)
    assert said(lambda: operations.refresh(nothing, keys, NOW)) == (
        f"{nothing}: cannot be opened (No such file or directory). Make it with fer-fleet init"
    )


def test_a_folder_that_is_taken_is_not_made_a_repository(tmp_path: Path) -> None:
    def make(folder: str, key_folder: str) -> Repository:
        return create(tmp_path / folder, tmp_path / key_folder, PASSPHRASE, DAYS, DEFAULT_SIGNERS, NOW)

    for name in ("full", "empty", "no keys"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "file").touch()
    for names in (("full", "k"), ("file", "k"), ("r", "full"), ("r", "file")):
        taken = next(name for name in names if name in {"full", "file"})
        assert said(lambda names=names: make(*names)) == (  # type: ignore[misc]
            f"{tmp_path / taken}: exists and is not an empty folder. Choose another"
        )
    assert said(lambda: make("r", "r")) == (
        f"--keys {tmp_path / 'r'}: is in the repository, which everybody can read. Choose another folder"
    )
    before = {path.name for path in tmp_path.iterdir()}
    assert make("empty", "no keys").role("root").threshold == 2
    assert {path.name for path in tmp_path.iterdir()} == before, "nothing is left beside it"
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "no keys").stat().st_mode & 0o777 == 0o700


def test_what_a_crash_left_beside_a_new_repository_is_removed(tmp_path: Path) -> None:
    for name in (".repo.part", ".keys.part"):
        (tmp_path / name / "metadata").mkdir(parents=True)
        (tmp_path / name / "metadata" / "9.root.json").touch()
    create(tmp_path / "repo", tmp_path / "keys", PASSPHRASE, DAYS, DEFAULT_SIGNERS, NOW)
    assert {path.name for path in tmp_path.iterdir()} == {"repo", "keys"}
    assert verify(tmp_path / "repo") == (0, 0)


# New keys


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def signatures(repo: Path) -> dict[str, int]:
    """By how many keys the newest file of each role is signed."""
    repository = Repository(repo)
    assert repository.snapshot is not None
    assert repository.timestamp is not None
    return {
        "root": len(repository.root.signatures),
        "targets": len(repository.targets.signatures),
        "snapshot": len(repository.snapshot.signatures),
        "timestamp": len(repository.timestamp.signatures),
    }


def test_lost_keys_of_root_are_replaced_and_the_others_stay(repo: Path, keys: Keys) -> None:
    before, files = Repository(repo).role("root").keyids, names(keys.folders[0])
    made = rotate(repo, ["root"], [before[2][:12], before[0], before[2]], keys, PASSPHRASE, in_days(1))
    new = [key.keyid for key in made["root"]]
    assert list(made) == ["root"]
    assert len(new) == 2
    assert set(Repository(repo).role("root").keyids) == {before[1], *new}
    assert names(keys.folders[0]) - files == {f"root-{key_id[:12]}.pem" for key_id in new}
    assert states(repo) == {"root": (2, 101), "targets": (1, 50), "snapshot": (1, 20), "timestamp": (1, 4)}
    assert verify(repo) == (0, 0)


def test_a_lost_key_that_is_none_is_named_with_those_that_are(repo: Path, keys: Keys) -> None:
    before, files = Repository(repo).role("root").keyids, names(keys.folders[0])
    first, second, third = (key_id[:12] for key_id in before)
    for given in ("zzzz", ""):
        assert said(lambda given=given: rotate(repo, ["root"], [given], keys, PASSPHRASE, NOW)) == (  # type: ignore[misc]
            f"--lost {given}: is not the id of one of root's keys. Choose {first}, {second} or {third}"
        )
    assert said(lambda: rotate(repo, ["root", "targets"], [first], keys, PASSPHRASE, NOW)) == (
        "--lost names keys of one role. Give one role"
    )
    assert names(keys.folders[0]) == files
    assert Repository(repo).role("root").keyids == before


@pytest.mark.parametrize(
    ("roles", "signed", "versions"),
    [
        (["root"], {"root": 4, "targets": 1, "snapshot": 1, "timestamp": 1}, [2, 1, 1, 1]),
        (["targets"], {"root": 2, "targets": 2, "snapshot": 1, "timestamp": 1}, [2, 2, 2, 2]),
        (["snapshot"], {"root": 2, "targets": 1, "snapshot": 2, "timestamp": 1}, [2, 1, 2, 2]),
        (["timestamp"], {"root": 2, "targets": 1, "snapshot": 1, "timestamp": 2}, [2, 1, 1, 2]),
        (["root", "timestamp"], {"root": 4, "targets": 1, "snapshot": 1, "timestamp": 2}, [2, 1, 1, 2]),
    ],
)
def test_old_and_new_keys_sign_what_they_replace_and_nothing_else_is_signed_again(
    repo: Path, keys: Keys, roles: list[str], signed: dict[str, int], versions: list[int]
) -> None:
    """So devices that know the old root accept it as those do that know the new one."""
    rotate(repo, roles, [], keys, PASSPHRASE, in_days(1))
    assert signatures(repo) == signed
    assert [version for version, _ in states(repo).values()] == versions
    assert verify(repo) == (0, 0)


def test_where_the_old_key_is_lost_the_new_one_signs_alone(repo: Path, keys: Keys) -> None:
    (lost,) = keys.folders[0].glob("targets-*.pem")
    lost.unlink()
    rotate(repo, ["targets"], [], keys, PASSPHRASE, in_days(1))
    assert signatures(repo) == {"root": 2, "targets": 1, "snapshot": 1, "timestamp": 1}
    assert verify(repo) == (0, 0)


def test_new_keys_lie_in_the_first_folder_and_no_new_passphrase_is_asked_for(
    repo: Path, keys: Keys, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return PASSPHRASE

    made = rotate(repo, ["targets", "snapshot"], [], Keys([stick, *keys.folders], ask), "another", in_days(1))
    assert names(stick) == {f"{role}-{key.keyid[:12]}.pem" for role, (key,) in made.items()}
    assert len(asked) == 1, "the old passphrase, once"
    asked.clear()
    rotate(repo, ["snapshot"], [], Keys([stick, *keys.folders], ask), None, in_days(1))
    assert len(asked) == 1, "root alone is encrypted"


def test_a_rotation_needs_the_keys_of_root_and_of_what_names_the_role(repo: Path, keys: Keys) -> None:
    (folder,) = keys.folders
    for role, roles in {"timestamp": ["targets"], "snapshot": ["timestamp"], "root": ["root"]}.items():
        aside = repo.with_name("aside")
        aside.mkdir()
        for path in folder.glob(f"{role}-*.pem"):
            path.rename(aside / path.name)
        before = names(folder)
        assert said(lambda roles=roles: rotate(repo, roles, [], keys, PASSPHRASE, NOW)).startswith(  # type: ignore[misc]
            f"{role}: needs {2 if role == 'root' else 1} of its keys, and 0 are in {folder}. Bring one of {role}-"
        )
        assert names(folder) == before
        for path in aside.iterdir():
            path.rename(folder / path.name)
        aside.rmdir()
    for path in folder.glob("timestamp-*.pem"):
        path.unlink()
    assert list(rotate(repo, ["root"], [], keys, PASSPHRASE, NOW)) == ["root"], "root is named by nothing"
