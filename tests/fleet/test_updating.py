"""`fer-edge models update` against a repository that `fer-fleet` made: what a device takes, and what it refuses."""

import copy
import logging
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import Signer
from tests.bundles import edit_manifest, make_bundle, no_probe
from tests.clock import Clock
from tests.conftest import Run
from tests.fleet_repository import PASSPHRASE, Done, Operator, offer_targets
from tests.update_server import UpdateServer
from tuf.api.metadata import Metadata

from fer_edge.cli.app import app
from fer_edge.cli.console import run_app
from fer_edge.cli.general import build
from fer_edge.config import RunConfig
from fer_edge.errors import FerError
from fer_edge.model.bundle import current_bundle
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, Verdict, failed_models
from fer_edge.updates import fetcher
from fer_edge.updates.install import install_bundle
from fer_edge.updates.latest import read_latest
from fer_edge.updates.releases import bundle_target
from fer_edge.updates.repository import RepositoryClient, explained
from fer_edge.updates.request import is_requested, request_update
from fer_edge.updates.trial import open_trial
from fer_fleet import operations
from fer_fleet.archive import pack
from fer_fleet.creation import DEFAULT_SIGNERS, create
from fer_fleet.keys import Keys
from fer_fleet.repository import DEFAULT_DAYS, Repository
from fer_fleet.rotation import rotate

Update = Callable[..., Done]
NAME = "ferplus7-tiny"
# However busy this machine is.
ANY_SPEED = "min_fps = 0\n"


@pytest.fixture
def config(operator: Operator, server: UpdateServer, tmp_path: Path) -> Path:
    """The configuration of a device that trusts the repository's first root."""
    shutil.copy(operator.repo / "metadata" / "1.root.json", tmp_path / "root.json")
    path = tmp_path / "config.toml"
    path.write_text(f'[updates]\nurl = "{server.url}"\nroot = "{tmp_path}/root.json"\nchannel = "beta"\n{ANY_SPEED}')
    return path


@pytest.fixture
def update(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Update:
    """Run `fer-edge models update` in this process, on a device that runs ferplus7-tiny 0.1.0."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "device" / "models"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    slots = Slots()
    with slots.lock():
        slots.use(ModelId(NAME), "use")

    def run(*words: str) -> Done:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["fer-edge", "models", "update", "--config", str(config), *words])
            with pytest.raises(SystemExit) as ended:
                run_app(build(app))
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def published(operator: Operator) -> Operator:
    operator.do("publish", operator.bundle("0.2.0"))
    return operator


def refused(done: Done, said: str) -> None:
    """It is one line, and the old model is in use."""
    assert done.code in {1, 4}, done.err
    assert done.err.count("\n") == 1, done.err
    assert said in done.err
    assert current_bundle().manifest.version == "0.1.0"


def version() -> str:
    return current_bundle().manifest.version


def test_a_new_model_is_taken_and_one_that_is_there_is_kept(
    update: Update, published: Operator, server: UpdateServer
) -> None:
    done = update("--check")
    assert (done.code, done.out) == (
        0,
        f"{NAME} 0.2.0 is meant for this device.\nInstall it: fer-edge models update\n",
    )
    assert version() == "0.1.0"
    assert not server.requests("/bundles/")

    done = update()
    assert done.code == 0, done.err
    assert done.out.endswith(f"{NAME}@0.2.0 is the current model\n")
    assert current_bundle().folder == Slots().path(ModelId(NAME, "0.2.0"))
    switch = Slots().in_effect()
    assert switch is not None
    assert switch.why == "update"
    latest = read_latest()
    assert latest is not None
    assert (latest.installed, latest.latest) == ("0.2.0", "0.2.0")

    done = update()
    assert "Nothing newer is offered" in done.out
    assert len(server.requests("/bundles/")) == 1
    del published


def test_a_download_keeps_to_its_limit(
    update: Update, published: Operator, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text() + "rate_limit = 200\n")
    clock = Clock(0.0)
    monkeypatch.setattr(fetcher, "time", clock)
    assert update().code == 0
    (archive,) = (published.repo / "targets" / "bundles").rglob("*.tar")
    assert clock.now == pytest.approx(archive.stat().st_size / 200_000, rel=0.1)


def test_a_look_that_failed_is_shown(update: Update, published: Operator, server: UpdateServer) -> None:
    update()
    before = read_latest()
    server.redirect = "timestamp.json"
    done = update()
    latest = read_latest()
    assert before is not None
    assert latest is not None
    assert (latest.name, latest.installed, latest.latest) == (NAME, "0.2.0", "0.2.0")
    assert latest.reason.startswith("The last look failed: ")
    assert "redirects are not followed" in latest.reason
    assert latest.checked_at > before.checked_at
    assert done.code == 1
    del published


def test_a_failed_look_forgets_no_version_that_is_offered(
    update: Update, published: Operator, server: UpdateServer
) -> None:
    update("--check")
    server.redirect = "timestamp.json"
    assert update().code == 1
    latest = read_latest()
    assert latest is not None
    assert (latest.installed, latest.latest) == ("0.1.0", "0.2.0")
    del published


def test_a_device_takes_what_is_for_its_tags(update: Update, operator: Operator, config: Path) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--percent", 0)
    operator.do("rollout", "0.2.0", "--channel", "beta", "--percent", 100, "--cohort", "lobby")
    assert "is meant for this device" not in update("--check").out
    config.write_text(config.read_text() + 'tags = ["lobby"]\n')
    assert f"{NAME} 0.2.0 is meant for this device" in update("--check").out


def test_an_archive_of_another_version_than_its_name_says_is_refused(
    update: Update, published: Operator, keys: Keys
) -> None:
    """Only whoever has the keys can make such a repository, by mistake."""
    repository, now = Repository(published.repo), datetime.now(UTC)
    other = repository.write_archive(bundle_target(NAME, "0.2.0"), pack(published.bundle("0.3.0")))
    repository.sign_releases(repository.releases, keys, now, [other])
    repository.refresh(keys, now)
    refused(update(), f"is {NAME}@0.3.0, not {NAME}@0.2.0. Nothing was installed")


def test_what_is_larger_than_a_device_takes_is_not_fetched(
    published: Operator, server: UpdateServer, tmp_path: Path
) -> None:
    root = (published.repo / "metadata" / "1.root.json").read_bytes()
    with explained(server.url):
        client = RepositoryClient(f"{server.url}/", root, tmp_path / "state")
        with pytest.raises(FerError, match=r"are the most\. Not fetched"):
            client.download(bundle_target(NAME, "0.2.0"), 10_000)
    assert not server.requests("/bundles/")


def test_the_libraries_say_nothing(update: Update, published: Operator, caplog: pytest.LogCaptureFixture) -> None:
    for library in ("tuf", "securesystemslib"):
        logging.getLogger(library).setLevel(logging.NOTSET)
    caplog.clear()
    assert update().code == 0
    assert not [record for record in caplog.records if record.name.startswith(("tuf", "securesystemslib"))]
    del published


def test_a_stick_serves_as_well(update: Update, published: Operator, tmp_path: Path) -> None:
    stick = Path(shutil.copytree(published.repo, tmp_path / "a stick"))
    done = update("--source", f"file://{stick}")
    assert done.code == 0, done.err
    assert version() == "0.2.0"
    refused_by = update("--source", f"file://{tmp_path}/not-there")
    assert (refused_by.code, refused_by.err.count("\n")) == (1, 1)


def test_a_model_that_failed_its_trial_is_not_taken_again(update: Update, published: Operator, tmp_path: Path) -> None:
    update()
    switch = Slots().in_effect()
    assert switch is not None
    verdict = Verdict(f"{NAME}@0.2.0", switch.serial, False, "it agrees on 3 %", time.time())
    TrialRecord().ended(verdict).write(tmp_path / "device" / "trials" / "default.json")
    assert version() == "0.1.0"
    done = update()
    assert "0.2.0 failed its trial on this device" in done.out
    assert version() == "0.1.0"
    published.do("publish", published.bundle("0.3.0"))
    assert update().code == 0
    assert version() == "0.3.0"


def test_the_failure_of_another_model_with_that_version_is_none_of_this_one(
    update: Update, published: Operator, tmp_path: Path
) -> None:
    verdict = Verdict("other@0.2.0", 1, False, "it agrees on 3 %", time.time())
    TrialRecord().ended(verdict).write(tmp_path / "device" / "trials" / "default.json")
    assert "other@0.2.0" in failed_models(Slots().folder)
    assert update().code == 0
    assert version() == "0.2.0"
    del published


def test_a_revoked_model_gives_way_to_the_one_before(update: Update, published: Operator) -> None:
    update()
    assert version() == "0.2.0"
    published.do("revoke", "0.2.0", "--reason", "poisoned")
    done = update()
    assert done.code == 0, done.err
    assert "is revoked (poisoned)" in done.out
    assert version() == "0.1.0"
    switch = Slots().in_effect()
    assert switch is not None
    assert switch.why == "rollback", "a model that was in use before is not tried again"
    assert update().code == 0
    assert version() == "0.1.0"


def test_nothing_goes_back_to_a_revoked_model(
    update: Update, published: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update()
    published.do("publish", published.bundle("0.3.0"))
    update()
    assert version() == "0.3.0"
    published.do("revoke", "0.3.0", "--reason", "poisoned")
    assert update().code == 0
    assert version() == "0.2.0"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    trial = open_trial(RunConfig())
    assert trial is not None
    assert "ferplus7-tiny@0.2.0" in trial.description
    assert str(trial.old) == NAME
    switch = Slots().in_effect()
    assert switch is not None
    verdict = Verdict(f"{NAME}@0.2.0", switch.serial, False, "it is slow", time.time())
    TrialRecord().ended(verdict).write(tmp_path / "device" / "trials" / "default.json")
    assert version() == "0.1.0"


def test_a_revoked_model_ends_although_the_new_one_cannot_be_fetched(
    update: Update, published: Operator, server: UpdateServer
) -> None:
    update()
    published.do("publish", published.bundle("0.3.0"))
    published.do("revoke", "0.2.0", "--reason", "poisoned")
    server.other = "0.3.0"
    refused(update(), "is not to be trusted")
    assert str(Slots().current()) == NAME


def test_an_older_repository_is_refused(update: Update, published: Operator, tmp_path: Path) -> None:
    older = Path(shutil.copytree(published.repo, tmp_path / "older"))
    published.do("publish", published.bundle("0.3.0"))
    assert update().code == 0
    assert version() == "0.3.0"
    done = update("--source", f"file://{older}")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "offers older files than it did before" in done.err
    assert version() == "0.3.0"


def test_another_root_is_not_trusted(update: Update, published: Operator, config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    published.do("init", other)
    shutil.copy(other / "metadata" / "1.root.json", tmp_path / "root.json")
    refused(update(), "is not to be trusted")
    (tmp_path / "root.json").write_text("{}")
    refused(update(), "is not to be trusted")
    (tmp_path / "root.json").unlink()
    done = update()
    assert done.code == 2
    assert "install.sh --root root.json" in done.err
    del config


def test_a_changed_model_is_refused(update: Update, published: Operator, server: UpdateServer) -> None:
    server.other = "/bundles/"
    refused(update(), "is not to be trusted")
    server.other = "\0"
    assert update().code == 0
    assert version() == "0.2.0"
    del published


def test_changed_metadata_is_refused(update: Update, published: Operator) -> None:
    path = published.repo / "metadata" / "timestamp.json"
    path.write_text(path.read_text().replace('"version":2', '"version":9').replace('"version": 2', '"version": 9'))
    refused(update(), "is not to be trusted")


def test_stale_metadata_is_refused_and_a_wrong_clock_is_said(
    update: Update, published: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime as dt

    from tuf.ngclient._internal import trusted_metadata_set

    from fer_edge.updates import repository, updater

    def clock(days: int) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> "Clock":
                real = datetime.now(tz) + timedelta(days=days)
                return cls(*real.timetuple()[:6], tzinfo=tz)

        fake = type("module", (), {"datetime": Clock, "timezone": dt.timezone})
        monkeypatch.setattr(trusted_metadata_set, "datetime", fake)
        for module in (updater, repository):
            monkeypatch.setattr(module, "datetime", Clock)

    clock(days=30)
    done = update()
    refused(done, "its signatures have expired")
    assert f"the clock here says {datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}" in done.err
    clock(days=-2000)
    refused(update(), "before the newest release")
    clock(days=0)
    assert update().code == 0
    del published


def put(repo: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (repo / name).write_bytes(content)


def forge(repository: Repository, role: str, signers: Iterable[Signer], repo: Path) -> int:
    """Write a newer version of a role's metadata with these signatures; returns its version."""
    root, targets = Metadata(repository.root.signed), Metadata(repository.targets.signed)
    forged = copy.deepcopy(root if role == "root" else targets)
    forged.signed.version += 1
    for signer in signers:
        forged.sign(signer, append=True)
    put(repo, {f"metadata/{forged.signed.version}.{role}.json": forged.to_bytes()})
    return forged.signed.version


def test_parts_of_two_releases_are_refused(update: Update, operator: Operator, keys: Keys) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    update()
    operator.do("publish", operator.bundle("0.2.0"), "--percent", 0)
    assert update().code == 0
    put(operator.repo, offer_targets(2, Repository(operator.repo), keys))
    refused(update(), "offers older files than it did before")


def test_a_root_key_below_the_threshold_is_refused(update: Update, published: Operator, keys: Keys) -> None:
    repository = Repository(published.repo)
    forge(repository, "root", keys.signers("root", repository.role("root"))[:1], published.repo)
    refused(update(), "is not to be trusted (root was signed by 1/2 keys)")


def test_a_revoked_key_is_refused(update: Update, operator: Operator, keys: Keys) -> None:
    before = Repository(operator.repo)
    stolen = keys.signers("targets", before.role("targets"))
    operator.do("rotate", "targets")
    operator.do("publish", operator.bundle("0.1.0"))
    assert update().code == 0
    after = Repository(operator.repo)
    version = forge(after, "targets", stolen, operator.repo)
    put(operator.repo, offer_targets(version, after, keys))
    refused(update(), "is not to be trusted (targets was signed by 0/1 keys)")


def test_a_chain_of_roots_is_followed_over_years_and_not_over_a_gap(
    update: Update, operator: Operator, tmp_path: Path, server: UpdateServer
) -> None:
    """The device was off for years: three roots expired, and the newest alone has to be valid."""
    folder, key_folder = tmp_path / "old", tmp_path / "old.keys"
    secret = Keys([key_folder], lambda _: PASSPHRASE)
    moment, year = datetime.now(UTC), timedelta(days=365)
    create(folder, key_folder, PASSPHRASE, DEFAULT_DAYS, DEFAULT_SIGNERS, moment - 5 * year)
    server.folder = folder
    shutil.copy(folder / "metadata" / "1.root.json", tmp_path / "root.json")
    for ago in (4, 3, 2):
        rotate(folder, ["root"], [], secret, PASSPHRASE, moment - ago * year)
    operations.refresh(folder, secret, moment)
    refused(update(), "its signatures have expired")
    shutil.rmtree(tmp_path / "device" / "updates")  # what it has seen, it need not see again
    rotate(folder, ["root"], [], secret, PASSPHRASE, moment)
    operator.do("publish", operator.bundle("0.2.0"), "--repo", folder, "--keys", key_folder)
    third = (folder / "metadata" / "3.root.json").rename(tmp_path / "third")
    refused(update(), "its signatures have expired")
    third.rename(folder / "metadata" / "3.root.json")
    assert update().code == 0
    assert version() == "0.2.0"


def test_a_revoked_release_of_a_wrong_clock_stops_no_update(
    update: Update, published: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fer_fleet.cli.publishing.now", lambda: datetime.now(UTC) + timedelta(days=100))
        published.do("publish", published.bundle("0.3.0"))
    refused(update(), "before the newest release")
    published.do("revoke", "0.3.0")
    assert update().code == 0
    assert version() == "0.2.0"


def test_a_cut_download_goes_on_where_it_ended(update: Update, published: Operator, server: UpdateServer) -> None:
    server.cut["/bundles/"] = 100_000
    refused(update(), "was cut after 100000 of ")
    assert update().code == 0
    assert server.requests("/bundles/") == ["", "bytes=100000-"]
    assert version() == "0.2.0"
    del published


def test_a_cut_download_that_goes_on_with_other_bytes_is_refused(
    update: Update, published: Operator, server: UpdateServer
) -> None:
    server.cut["/bundles/"] = 100_000
    refused(update(), "was cut after 100000 of ")
    server.other = "/bundles/"
    refused(update(), "is not to be trusted")
    server.other = "\0"
    assert update().code == 0
    assert server.requests("/bundles/") == ["", "bytes=100000-", ""]
    del published


@pytest.mark.parametrize("part", ["timestamp.json", ".releases.json", "/bundles/"])
def test_endless_data_are_refused(
    update: Update, published: Operator, server: UpdateServer, part: str, tmp_path: Path
) -> None:
    server.endless = part
    refused(update(), "than was signed")
    assert sum(path.stat().st_size for path in (tmp_path / "device").rglob("*") if path.is_file()) < 1_000_000
    del published


@pytest.mark.parametrize("part", ["timestamp.json", "/bundles/"])
def test_a_redirect_is_refused(update: Update, published: Operator, server: UpdateServer, part: str) -> None:
    server.redirect = part
    refused(update(), "redirects are not followed")
    del published


def test_a_slow_server_is_left(
    update: Update, published: Operator, server: UpdateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "_PATIENCE_S", 1.0)
    server.slow = "timestamp.json"
    refused(update(), "bytes per second. Try again later")
    del published


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a="]
)
def test_a_server_that_never_ends_a_line_is_left(
    update: Update, published: Operator, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(fetcher, "_PATIENCE_S", 1.0)
    over = threading.Event()

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(begin)
            while not over.wait(0.05):
                connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        try:
            refused(update("--source", f"http://127.0.0.1:{server.getsockname()[1]}"), "is too slow. Try again later")
        finally:
            over.set()
            thread.join()
    del published


def test_metadata_have_a_deadline_together(
    update: Update, published: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "_METADATA_S", 0.0)
    refused(update(), "is too slow. Try again later")
    del published


def test_a_server_that_says_nothing_is_left(
    update: Update, published: Operator, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetcher, "_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        refused(update("--source", f"http://127.0.0.1:{silent.getsockname()[1]}"), "no answer")
    refused(update("--source", "http://127.0.0.1:1"), "Connection refused")
    refused(update("--source", "http://no-such-host.invalid"), "cannot be fetched")
    done = update("--source", "ftp://x/y")
    assert done.code == 2
    del config, tmp_path, published


def test_a_model_for_another_input_size_is_refused(update: Update, published: Operator, tmp_path: Path) -> None:
    with Slots().lock(), Slots().staging() as staged:
        for path in make_bundle(tmp_path / "b", "0.1.5", NAME, input_shape=[64, 64, 1]).iterdir():
            shutil.copy(path, staged)
        Slots().add(staged, ModelId(NAME, "0.1.5"))
    refused(update(), f"its input is 48 x 48 x 1, that of {NAME}@0.1.5 is 64 x 64 x 1")
    del published


def test_another_crop_is_refused(update: Update, operator: Operator) -> None:
    bundle = operator.bundle("0.2.0")
    edit_manifest(bundle, crop_margin=0.9)
    operator.do("publish", bundle)
    refused(update(), "its crop_margin is 0.9, and that of the current model")


def test_other_labels_are_refused(update: Update, operator: Operator, tmp_path: Path) -> None:
    operator.do("publish", make_bundle(tmp_path / "b", "0.2.0", NAME, base="ferplus8"), "--force", "a test")
    refused(update(), "An update does not change them")


def test_a_model_that_is_too_slow_here_is_refused_and_not_fetched_again(
    update: Update, published: Operator, server: UpdateServer, config: Path
) -> None:
    text = config.read_text()
    config.write_text(text.replace(ANY_SPEED, "min_fps = 100000\n"))
    refused(update(), "updates.min_fps is 100000")
    refused(update(), "updates.min_fps is 100000")
    config.write_text(text)
    assert update().code == 0
    assert len(server.requests("/bundles/")) == 1
    del published


def test_two_updates_at_once_are_refused(update: Update, published: Operator, tmp_path: Path) -> None:
    import fcntl

    update("--check")
    with (tmp_path / "device" / "updates" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(update(), "another update runs")
    with Slots().lock():
        refused(update(), "another process changes the models")
    assert update().code == 0
    del published


def test_a_full_disk_is_one_line(
    update: Update, published: Operator, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_MODELS", str(small_disk / "models"))
    with Slots().lock():
        Slots().use(ModelId(NAME), "use")
    update("--check")
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"\0" * (free - 80_000))
    refused(update(), "No space left on device")
    (small_disk / "filler").unlink()
    assert update().code == 0
    del published


def test_quiet_hours_are_for_the_timer(update: Update, published: Operator, config: Path) -> None:
    text = config.read_text()
    config.write_text(text + 'quiet_hours = "00:00-23:59"\n')
    done = update("--scheduled")
    assert "nothing is updated in the quiet hours" in done.out or time.localtime().tm_hour == 23
    hour = time.localtime().tm_hour
    config.write_text(text + f'quiet_hours = "{(hour + 2) % 24:02}:00-{(hour + 22) % 24:02}:59"\n')
    assert update("--scheduled").code == 0
    assert version() == "0.2.0"
    del published


def test_the_timer_only_looks_where_a_person_starts_updates(
    update: Update, published: Operator, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del published
    asked = tmp_path / "look"
    monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", str(asked))
    text = config.read_text()
    config.write_text(text + "automatic = false\nallow_start = true\n")
    looked = update("--scheduled")
    assert "0.2.0 is meant for this device" in looked.out
    assert version() == "0.1.0"
    assert not is_requested()
    request_update()
    assert is_requested()
    hour = time.localtime().tm_hour
    quiet = f'quiet_hours = "{(hour - 1) % 24:02}:00-{(hour + 2) % 24:02}:00"\n'
    config.write_text(f"{text}automatic = false\nallow_start = true\n{quiet}")
    assert update("--scheduled").code == 0
    assert version() == "0.2.0", "somebody asked"
    assert not is_requested()
    assert "quiet hours" in update("--scheduled").out


def test_requests_are_a_minute_apart_and_forgotten_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    with pytest.raises(FerError, match="only the service can start an update"):
        request_update()
    asked = tmp_path / "look"
    monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", str(asked))
    now = time.time()
    for age, kept, waits in ((1, True, True), (50, True, True), (70, False, True), (1000, False, False)):
        asked.touch()
        os.utime(asked, (now - age, now - age))
        before = asked.stat().st_mtime_ns
        assert is_requested() is waits
        request_update()
        assert (asked.stat().st_mtime_ns == before) is kept, age
        assert is_requested()
    os.utime(asked, (now + 3600, now + 3600))
    request_update()
    assert asked.stat().st_mtime < now + 60, "the clock was set back"


def test_only_the_version_in_use_and_the_one_before_are_kept(update: Update, published: Operator) -> None:
    for number in (3, 4):
        assert update().code == 0
        published.do("publish", published.bundle(f"0.{number}.0"))
    assert update().code == 0
    assert [model.version for model in Slots().installed()] == ["0.3.0", "0.4.0"]
    assert not list(Slots().folder.parent.rglob("*.tar")), "what was installed is not kept as an archive too"


def test_what_a_person_installed_is_not_replaced_by_something_older(
    update: Update, published: Operator, tmp_path: Path
) -> None:
    update("--check")
    with Slots().lock():
        model = install_bundle(make_bundle(tmp_path / "b", "0.2.0", NAME), Slots(), probe=no_probe).model
        Slots().use(model, "use")
    done = update()
    assert done.code == 0
    assert version() == "0.2.0"
    del published


def test_without_a_repository_it_says_what_to_set(command: Run, tmp_path: Path) -> None:
    environment = {**os.environ, "FER_EDGE_MODELS": str(tmp_path / "models")}
    done = command("fer-edge", "models", "update", env=environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "updates.url is not set" in done.stderr
