"""Take a new model from a signed repository of The Update Framework (TUF).

The device trusts the root file that its owner installed; `tuf` follows its keys, and refuses what is changed, expired,
older than before or mixed. Then the device decides by itself which release it takes (`releases`), and installs it as a
person would: checked on this machine, and on trial.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fer_edge.config import RunConfig
from fer_edge.config.updates import require_url
from fer_edge.device.identity import fleet_id
from fer_edge.errors import ConfigError, FerError, ModelError, reason
from fer_edge.model.bundle import DEFAULT_MODEL, current_choices, model_before, revocation
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, failed_models, record_path
from fer_edge.updates.install import Requirements, install_bundle, manifest_of
from fer_edge.updates.latest import Latest, read_latest, write_latest
from fer_edge.updates.prune import prune
from fer_edge.updates.releases import Decision, Releases, decide
from fer_edge.updates.repository import RepositoryClient, explained

SERVICE_STATE = Path("/var/lib/fer-edge-update")
_LARGEST_BUNDLE = 64_000_000
# A clock may be wrong by so much before it is said.
_CLOCK_ERROR = timedelta(days=1)


class ModelUpdater:
    """Reads a repository and installs what it has for this device."""

    def __init__(self, config: RunConfig, source: str | None = None, state: Path | None = None) -> None:
        """Prepare.

        Args:
            config: the configuration.
            source: URL of the repository; None for the configured one.
            state: folder for verified metadata and downloads; None for the default.

        Raises:
            ConfigError: there is no repository, or no root file.
        """
        settings = config.updates
        url = source or settings.url
        if url is None:
            raise ConfigError("updates.url is not set, so there is nothing to update from. Or give --source URL")
        try:
            require_url(url)
        except ValueError as error:
            raise ConfigError(f"--source {url}: {error}") from error
        self._url = url.rstrip("/") + "/"
        self._config = config
        self._state = state or state_folder()
        self._slots = Slots()
        self._root = _read_root(settings.root)

    def update(self, *, check: bool = False) -> Latest:
        """Look for a new model, and unless only a check is wanted, install it and make it the current one.

        Raises:
            FerError: the repository cannot be read or is not to be trusted, or the model cannot be used here. Nothing
                has changed then.
        """
        with self._lock():
            try:
                with explained(self._url):
                    found = self._look(check)
            except FerError as error:
                self._write_failure(error)
                raise
            write_latest(found, self._slots.folder)
            return found

    def _look(self, check: bool) -> Latest:
        rate = self._config.updates.rate_limit
        client = RepositoryClient(self._url, self._root, self._state, 1000 * rate if rate else None)
        releases = client.releases()
        _refuse_wrong_clock(releases)
        running = self._running()
        decision = self._decide(releases, running)
        if not check:
            running = self._follow(decision, running, client, releases)
        return Latest(running.name, running.version, decision.version or running.version, decision.reason, time.time())

    def _write_failure(self, error: FerError) -> None:
        """Let those who show the last look also show that it failed."""
        running, before = self._running(), read_latest(self._slots.folder)
        latest = before.latest if before and before.name == running.name else running.version
        failed = Latest(running.name, running.version, latest, f"The last look failed: {error}", time.time())
        write_latest(failed, self._slots.folder)

    def _running(self) -> ModelId:
        """Name and version of the model in use, also of a shipped one."""
        record = TrialRecord.read(record_path())
        model = next(current_choices(self._slots, record), ModelId(DEFAULT_MODEL))
        manifest = manifest_of(str(model)) or manifest_of(DEFAULT_MODEL)
        return ModelId(manifest.name, manifest.version) if manifest else model

    def _decide(self, releases: Releases, running: ModelId) -> Decision:
        failed = [ModelId.parse(name) for name in failed_models(self._slots.folder)]
        return decide(
            releases,
            name=running.name,
            channel=self._config.updates.channel,
            device_id=fleet_id(self._config),
            tags=self._config.updates.tags,
            installed_version=running.version,
            bad_versions=[model.version for model in failed if model.name == running.name],
        )

    def _follow(self, decision: Decision, running: ModelId, client: RepositoryClient, releases: Releases) -> ModelId:
        """Do what was decided; returns the model that is in use then."""
        self._remember_revoked(releases)
        current = self._slots.current()
        leave = decision.revoked or (current is not None and revocation(current, self._slots) is not None)
        if decision.version is None or decision.target is None:
            return self._go_back(running) if leave else running
        try:
            return self._take(ModelId(running.name, decision.version), decision.target, client)
        except Exception:
            if leave:  # whatever was wrong with the new one
                self._go_back(running)
            raise

    def _take(self, model: ModelId, target: str, client: RepositoryClient) -> ModelId:
        archive = None
        if not self._slots.has(model):
            archive = client.download(target, _LARGEST_BUNDLE)
        with self._slots.lock():
            if archive:
                updates = self._config.updates
                requirements = Requirements(
                    updates.min_fps, self._config.detector.name, self._config.threads, model, same_use=True
                )
                install_bundle(archive, self._slots, requirements)
                archive.unlink()
            self._slots.use(model, "update")
            with suppress(FerError):  # the update itself is done, and there is another time
                prune(self._slots)
        client.remove_partial()
        return model

    def _remember_revoked(self, releases: Releases) -> None:
        """So that nothing goes back to a revoked version, or compares another one with it."""
        revoked = {
            str(ModelId(name, release.version)): release.revoked
            for name, model in releases.models.items()
            for release in model.releases
            if release.revoked is not None
        }
        if revoked.items() - self._slots.revoked().items():
            with self._slots.lock():
                self._slots.revoke(revoked)

    def _go_back(self, running: ModelId) -> ModelId:
        """Use the model before a revoked one, if there is one that is not revoked."""
        earlier = model_before(self._slots, TrialRecord.read(record_path()))
        if earlier is None:
            raise ModelError(f"{running} is revoked, and there is no other model. Install one: fer-edge models install")
        with self._slots.lock():
            self._slots.use(earlier, "rollback")
        return self._running()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            file = (self._state / ".lock").open("w")
        except OSError as error:
            raise FerError(f"{self._state}: cannot be written ({reason(error)}). Run it with sudo") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FerError("another update runs. Try again when it has ended") from None
            yield


def state_folder() -> Path:
    """The folder for verified metadata and downloads: the updater's, or one beside the user's models."""
    return SERVICE_STATE if os.access(SERVICE_STATE, os.W_OK) else Slots().folder.parent / "updates"


def become_updater() -> None:
    """As root, continue as the user of the updater, who owns its folder, so that its timer can go on with the files."""
    if os.geteuid() != 0 or not SERVICE_STATE.is_dir():
        return
    owner = SERVICE_STATE.stat()
    if owner.st_uid:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def _read_root(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"updates.root {path}: cannot be read ({reason(error)}). Get root.json from whoever signs the models, and "
            "install it: sudo systemd/install.sh --root root.json"
        ) from error


def _refuse_wrong_clock(releases: Releases) -> None:
    """A clock before the newest release is wrong, and then expired metadata would look valid."""
    known = [release for model in releases.models.values() for release in model.releases]
    published = [release.published for release in known if release.revoked is None]
    newest = max((one if one.tzinfo else one.replace(tzinfo=UTC) for one in published), default=None)
    now = datetime.now(UTC)
    if newest and newest - now > _CLOCK_ERROR:
        raise FerError(
            f"the clock says {now:%Y-%m-%d}, before the newest release ({newest:%Y-%m-%d}): it is wrong. "
            "Nothing is updated until it is set"
        )
