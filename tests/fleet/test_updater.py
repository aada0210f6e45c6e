"""The updater of a device without its command line: a repository on a stick, and models that are not run first."""

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path

import pytest
from tests.bundles import edit_manifest, make_bundle, no_probe
from tests.clock import Clock
from tests.fleet_repository import Operator
from tests.update_server import UpdateServer

from fer_edge.config import RunConfig
from fer_edge.errors import ConfigError, FerError, ModelError
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, Verdict, record_path
from fer_edge.updates import fetcher, updater
from fer_edge.updates.install import install_bundle
from fer_edge.updates.latest import Latest, read_latest, write_latest
from fer_edge.updates.probe import Probe
from fer_edge.updates.releases import Releases, bundle_target
from fer_edge.updates.updater import ModelUpdater, become_updater, state_folder
from fer_fleet import operations
from fer_fleet.archive import pack
from fer_fleet.keys import Keys
from fer_fleet.repository import Repository

NAME = "ferplus7-tiny"
NEW = ModelId(NAME, "0.2.0")
Make = Callable[..., ModelUpdater]


@pytest.fixture
def published(operator: Operator) -> Operator:
    operator.do("publish", operator.bundle("0.2.0"))
    return operator


@pytest.fixture
def make(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The updater of a device that runs ferplus7-tiny 0.1.0; with settings of `[updates]`."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "device" / "models"))
    monkeypatch.setattr(updater, "SERVICE_STATE", tmp_path / "no such folder")
    monkeypatch.setattr(updater, "install_bundle", partial(install_bundle, probe=no_probe))
    use(ModelId(NAME))

    def made(source: str | None = None, state: Path | None = None, **settings: object) -> ModelUpdater:
        root = operator.repo / "metadata" / "1.root.json"
        given = {"url": f"file://{operator.repo}", "root": root, "channel": "beta", "min_fps": 0, **settings}
        config = {"updates": given, "threads": 3, "detector": {"name": "mediapipe"}}
        return ModelUpdater(RunConfig.model_validate(config), source, state)

    return made


def use(model: ModelId, why: str = "use") -> None:
    with Slots().lock():
        Slots().use(model, why)


def add(tmp_path: Path, version: str) -> ModelId:
    """Install a version by hand."""
    with Slots().lock():
        bundle = make_bundle(tmp_path / f"by-hand-{version}", version, NAME)
        return install_bundle(bundle, Slots(), probe=no_probe).model


def state(tmp_path: Path) -> Path:
    return tmp_path / "device" / "updates"


def switch() -> tuple[str, str]:
    """The model in use, and why it is."""
    found = Slots().in_effect()
    assert found is not None
    return found.model, found.why


# What is done, and what is told of it


def test_a_check_tells_what_is_offered_and_changes_nothing(make: Make, published: Operator) -> None:
    before = time.time()
    found = make().update(check=True)
    said = f"{NAME} 0.2.0 is meant for this device."
    assert found == read_latest() == Latest(NAME, "0.1.0", "0.2.0", said, found.checked_at)
    assert before <= found.checked_at <= time.time()
    assert switch() == (NAME, "use")
    assert Slots().installed() == []
    del published


def test_a_new_model_is_installed_and_used_and_nothing_is_left_of_its_download(
    make: Make, published: Operator, tmp_path: Path
) -> None:
    part = state(tmp_path) / "downloads" / "0123456789abcdef.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half of an older model")
    found = make().update()
    assert (found.name, found.installed, found.latest) == (NAME, "0.2.0", "0.2.0")
    assert found == read_latest()
    assert switch() == (str(NEW), "update")
    assert Slots().installed() == [NEW]
    left = {path.name for path in (state(tmp_path) / "downloads").rglob("*")}
    assert not [name for name in left if name.endswith((".tar", ".part"))]
    again = make().update()
    assert again.reason == f"{NAME} 0.2.0 is kept. Nothing newer is offered."
    assert (again.installed, again.latest) == ("0.2.0", "0.2.0")
    del published


def test_a_model_is_tried_as_the_device_will_run_it(
    make: Make, published: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def probe(_: Path, detector: str, threads: int) -> Probe:
        asked.append((detector, threads))
        return Probe(0, 100.0, 0.1)

    monkeypatch.setattr(updater, "install_bundle", partial(install_bundle, probe=probe))
    with pytest.raises(ModelError, match=r"reaches 100 frames per second here, and updates.min_fps is 100.5"):
        make(min_fps=100.5).update()
    assert switch() == (NAME, "use")
    assert make(min_fps=100.0).update().installed == "0.2.0"
    assert asked == [("mediapipe", 3), ("mediapipe", 3)]
    del published


def test_a_version_that_is_installed_already_is_used_without_a_download(
    make: Make, published: Operator, tmp_path: Path
) -> None:
    add(tmp_path, "0.2.0")
    shutil.rmtree(published.repo / "targets" / "bundles")
    assert make().update().installed == "0.2.0"
    assert switch() == (str(NEW), "update")


def test_a_device_takes_what_is_for_its_tags(make: Make, operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--percent", 0)
    operator.do("rollout", "0.2.0", "--channel", "beta", "--percent", 100, "--cohort", "lobby")
    assert make().update(check=True).latest == "0.1.0"
    assert make(tags=["hall"]).update(check=True).latest == "0.1.0"
    assert make(tags=["hall", "lobby"]).update(check=True).latest == "0.2.0"
    assert make(tags=["lobby"], channel="stable").update(check=True).latest == "0.1.0"


def test_a_version_that_failed_its_trial_here_is_not_taken(make: Make, published: Operator) -> None:
    failed = TrialRecord().ended(Verdict("other@0.2.0", 1, False, "too slow", 0.0))
    failed.write(record_path())
    assert make().update(check=True).latest == "0.2.0", "another model failed"
    failed.ended(Verdict(str(NEW), 2, False, "too slow", 1.0)).write(record_path())
    found = make().update()
    assert (found.installed, found.latest) == ("0.1.0", "0.1.0")
    assert "0.2.0 failed its trial on this device" in found.reason
    del published


def test_an_update_keeps_the_crop_and_takes_the_version_that_was_offered(
    make: Make, operator: Operator, keys: Keys
) -> None:
    other, wide = operator.bundle("0.3.0"), operator.bundle("0.2.0")
    edit_manifest(wide, crop_margin=0.5)
    operator.do("publish", wide)
    with pytest.raises(ModelError, match=r"its crop_margin is 0\.5, and that of the current model 0\.0"):
        make().update()
    repository, now = Repository(operator.repo), datetime.now(UTC)
    archive = repository.write_archive(bundle_target(NAME, "0.2.0"), pack(other))
    repository.sign_releases(repository.releases, keys, now, [archive])
    repository.refresh(keys, now)
    with pytest.raises(ModelError, match=f"is {NAME}@0.3.0, not {NEW}. Nothing was installed"):
        make().update()
    assert switch() == (NAME, "use")
    assert Slots().installed() == []


def test_older_versions_go_and_that_they_cannot_go_does_not_stop_the_update(
    make: Make, published: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = tmp_path / "etc"
    (configs / "broken.toml").mkdir(parents=True)
    monkeypatch.setattr("fer_edge.updates.prune.SERVICE_CONFIGS", configs)
    for version in ("0.0.1", "0.0.2"):
        use(add(tmp_path, version))
    assert make().update().installed == "0.2.0"
    assert [model.version for model in Slots().installed()] == ["0.0.1", "0.0.2", "0.2.0"]
    (configs / "broken.toml").rmdir()
    published.do("publish", published.bundle("0.3.0"))
    assert make().update().installed == "0.3.0"
    assert [model.version for model in Slots().installed()] == ["0.2.0", "0.3.0"]


def test_all_downloads_keep_to_the_limit(
    make: Make, published: Operator, server: UpdateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(fetcher, "time", clock)
    make(server.url, rate_limit=2).update(check=True)
    files = [published.repo / path.lstrip("/") for path, _ in server.asked]
    sent = sum(file.stat().st_size for file in files if file.is_file())
    assert sent > 1000
    assert clock.now == pytest.approx(100 + sent / 2000)
    clock.now = 100
    make(server.url).update(check=True)
    assert clock.now == 100, "no limit"


def test_a_look_that_fails_says_so_and_forgets_nothing(make: Make, published: Operator) -> None:
    make().update(check=True)
    (published.repo / "metadata" / "timestamp.json").unlink()
    before = time.time()
    with pytest.raises(FerError) as caught:
        make().update()
    latest = read_latest()
    assert latest is not None
    assert (latest.name, latest.installed, latest.latest) == (NAME, "0.1.0", "0.2.0")
    assert latest.reason == f"The last look failed: {caught.value}"
    assert before <= latest.checked_at <= time.time()
    write_latest(Latest("other", "0.1.0", "9.9", "", before), Slots().folder)
    with pytest.raises(FerError):
        make().update()
    latest = read_latest()
    assert latest is not None
    assert (latest.name, latest.latest) == (NAME, "0.1.0"), "what was offered of another model is none of this one"


def test_a_damaged_model_gives_way_to_what_the_device_runs_instead(
    make: Make, published: Operator, tmp_path: Path
) -> None:
    use(add(tmp_path, "0.0.1"))
    (Slots().path(ModelId(NAME, "0.0.1")) / "model.json").write_text("{")
    found = make().update(check=True)
    assert (found.name, found.installed) == ("ferplus7", "0.1.0")
    assert found.reason == "The repository has no model ferplus7."
    del published


def test_a_device_on_which_nobody_chose_a_model_runs_the_shipped_one(make: Make, published: Operator) -> None:
    shutil.rmtree(Slots().folder)
    assert make().update(check=True).name == "ferplus7"
    del published


# Revoked models


def test_a_revoked_model_gives_way_and_is_remembered_with_the_reason(make: Make, published: Operator) -> None:
    make().update()
    published.do("revoke", "0.2.0", "--reason", "poisoned")
    found = make().update()
    assert (found.installed, switch()) == ("0.1.0", (NAME, "rollback"))
    assert "0.2.0 is revoked (poisoned)" in found.reason
    assert Slots().revoked() == {str(NEW): "poisoned"}


def test_what_was_revoked_here_already_is_left_in_the_next_update(make: Make, published: Operator) -> None:
    """The device runs the one before by itself; the choice follows."""
    make().update()
    with Slots().lock():
        Slots().revoke({str(NEW): "poisoned"})
    published.do("revoke", "0.2.0", "--reason", "poisoned")
    assert make().update(check=True).installed == "0.1.0"
    assert switch() == (str(NEW), "update"), "a check changes nothing"
    assert make().update().installed == "0.1.0"
    assert switch() == (NAME, "rollback")
    assert make().update().installed == "0.1.0"
    assert len(Slots().history()) == 3, "what is left is left once"


def test_where_nothing_is_left_to_go_back_to_is_said(make: Make, published: Operator) -> None:
    make().update()
    with Slots().lock():
        Slots().revoke({f"{NAME}@0.1.0": "old", "ferplus7@0.1.0": "old"})
    published.do("revoke", "0.2.0")
    with pytest.raises(ModelError) as caught:
        make().update()
    said = f"{NEW} is revoked, and there is no other model. Install one: fer-edge models install"
    assert str(caught.value) == said
    assert switch() == (str(NEW), "update")


@pytest.mark.parametrize("is_last", [False, True])
def test_a_revoked_model_is_left_although_the_new_one_cannot_be_fetched(
    make: Make, published: Operator, is_last: bool
) -> None:
    make().update()
    if is_last:
        with Slots().lock():
            Slots().revoke({f"{NAME}@0.1.0": "old", "ferplus7@0.1.0": "old"})
    published.do("publish", published.bundle("0.3.0"))
    published.do("revoke", "0.2.0")
    shutil.rmtree(published.repo / "targets" / "bundles")
    said = f"{NEW} is revoked, and there is no other model" if is_last else "404 Not Found. Check updates.url"
    with pytest.raises(FerError, match=said):
        make().update()
    assert switch() == ((str(NEW), "update") if is_last else (NAME, "rollback"))


def test_the_model_to_go_back_to_did_not_fail_its_trial(make: Make, published: Operator, tmp_path: Path) -> None:
    use(add(tmp_path, "0.1.5"))
    failed = Slots().in_effect()
    assert failed is not None
    make().update()
    TrialRecord().ended(Verdict(f"{NAME}@0.1.5", failed.serial, False, "too slow", 0.0)).write(record_path())
    published.do("revoke", "0.2.0")
    make().update()
    assert switch() == (NAME, "rollback")


def test_a_look_without_news_of_revoked_models_waits_for_nobody(make: Make, published: Operator) -> None:
    published.do("publish", published.bundle("0.3.0"))
    published.do("revoke", "0.3.0")
    published.do("revoke", "0.2.0")
    with Slots().lock(), pytest.raises(FerError, match="another process changes the models"):
        make().update()
    make().update()
    assert set(Slots().revoked()) == {f"{NAME}@0.2.0", f"{NAME}@0.3.0"}
    with Slots().lock():
        assert make().update().installed == "0.1.0"


# A wrong clock


class Ago(datetime):
    """A clock that goes so long behind."""

    by = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Ago":
        past = datetime.now(tz) - cls.by
        return cls(*past.timetuple()[:6], tzinfo=tz)


@pytest.mark.parametrize("is_naive", [False, True])
def test_a_clock_may_be_a_day_behind_the_newest_release(
    make: Make, published: Operator, keys: Keys, monkeypatch: pytest.MonkeyPatch, is_naive: bool
) -> None:
    published.do("publish", published.bundle("0.3.0"))
    now = datetime.now(UTC)
    if is_naive:  # as if in UTC

        def without_zone(releases: Releases) -> Releases:
            model = releases.models[NAME]
            naive = tuple(one.model_copy(update={"published": now.replace(tzinfo=None)}) for one in model.releases)
            return releases.model_copy(update={"models": {NAME: model.model_copy(update={"releases": naive})}})

        operations.change(published.repo, keys, without_zone, now)
    monkeypatch.setattr(updater, "datetime", Ago)
    Ago.by = timedelta(hours=23)
    assert make().update(check=True).latest == "0.3.0"
    Ago.by = timedelta(days=3)
    with pytest.raises(FerError) as caught:
        make().update()
    assert str(caught.value) == (
        f"the clock says {now - Ago.by:%Y-%m-%d}, before the newest release ({now:%Y-%m-%d}): it is wrong. "
        "Nothing is updated until it is set"
    )
    assert switch() == (NAME, "use")


def test_revoked_releases_and_an_empty_repository_tell_nothing_of_the_clock(
    make: Make, operator: Operator, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updater, "datetime", Ago)
    Ago.by = timedelta(days=3)
    operator.do("publish", operator.bundle("0.2.0"))
    operator.do("revoke", "0.2.0")
    assert make().update().installed == "0.1.0"
    operations.change(operator.repo, keys, lambda _: Releases(), datetime.now(UTC))
    assert make().update().reason == f"The repository has no model {NAME}."


# What it needs


def test_without_a_source_it_says_what_to_set(make: Make) -> None:
    with pytest.raises(ConfigError) as caught:
        make(url=None)
    said = "updates.url is not set, so there is nothing to update from. Or give --source URL"
    assert str(caught.value) == said
    with pytest.raises(ConfigError) as caught:
        make("ftp://x/y")
    assert str(caught.value) == "--source ftp://x/y: expected a URL: http://, https://, or file:// for a folder"


def test_the_given_source_comes_first_and_may_end_in_slashes(
    make: Make, published: Operator, server: UpdateServer
) -> None:
    for source in (server.url, f"{server.url}/", f"{server.url}//"):
        server.asked.clear()
        assert make(source, url="file:///no/such").update(check=True).latest == "0.2.0"
        assert server.asked
        assert not [path for path, _ in server.asked if "//" in path]
    del published


def test_a_missing_root_file_says_where_to_get_it(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        make(root=tmp_path / "none.json")
    assert str(caught.value) == (
        f"updates.root {tmp_path}/none.json: cannot be read (No such file or directory). Get root.json from whoever "
        "signs the models, and install it: sudo systemd/install.sh --root root.json"
    )


def test_the_folder_of_the_updater_is_used_where_it_can_be_written(
    make: Make, published: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, own = state(tmp_path), tmp_path / "own"
    assert state_folder() == beside
    make().update(check=True)
    assert (beside / "metadata").is_dir()
    own.mkdir()
    monkeypatch.setattr(updater, "SERVICE_STATE", own)
    assert state_folder() == own
    make().update(check=True)
    assert (own / "metadata").is_dir()
    make(state=tmp_path / "third").update(check=True)
    assert (tmp_path / "third" / "metadata").is_dir()
    del published


def identity(begin: Callable[[], object]) -> tuple[int, int, list[int]]:
    """User, group and groups after something was done in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            begin()
            os.write(writing, json.dumps([os.getuid(), os.getgid(), sorted(os.getgroups())]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        user, group, groups = json.load(pipe)
    os.waitpid(child, 0)
    return user, group, groups


def test_root_goes_on_as_the_user_of_the_updater(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    root = identity(lambda: None)
    monkeypatch.setattr(updater, "SERVICE_STATE", open_path / "none")
    assert identity(become_updater) == root
    monkeypatch.setattr(updater, "SERVICE_STATE", open_path)
    assert identity(become_updater) == root, "it is root's"
    os.chown(open_path, 65534, 65534)
    assert identity(become_updater) == (65534, 65534, [65534])
    os.chown(open_path, 1, 65534)

    def as_nobody() -> None:
        os.setuid(65534)
        become_updater()

    assert identity(as_nobody)[0] == 65534, "whoever is not root stays who he is"
    os.chown(open_path, 0, 0)
