"""Installed models: a folder per version, and a link that names the one in use.

    FOLDER/ferplus7/0.2.0/      the files of one version; never changed once they are there
    FOLDER/current              a link to `ferplus7/0.2.0`; to `ferplus7` (which is not in FOLDER) for a shipped model
    FOLDER/history.json         every switch of `current`
    FOLDER/revoked.json         the versions that must not run any more, and why

A new version is written aside and renamed, and so is the link, so that a power cut leaves the old or the new model.
The history is written before the link: its last entry for the model that `current` names is the one in effect.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_edge.data_folder import SERVICE_DATA, user_data
from fer_edge.errors import FerError, ModelError, reason
from fer_edge.files import TEMPORARY, replace_file, sync_folder
from fer_edge.model.owner import acting_as_owner, other_owner

# Names another folder for the installed models.
FOLDER_VARIABLE = "FER_EDGE_MODELS"
_LINK, _HISTORY, _REVOKED, _LOCK = "current", "history.json", "revoked.json", ".lock"
# The service reads what root or the updater writes.
_READABLE = 0o644
# So many switches are remembered.
_LONGEST_HISTORY = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")


@dataclass(frozen=True, slots=True, order=True)
class ModelId:
    """An installed version of a model; without a version, the shipped model of that name."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name

    @classmethod
    def parse(cls, text: str) -> ModelId:
        """Read `NAME` or `NAME@VERSION`. Raises ModelError for what is no name of a folder."""
        name, separator, version = text.partition("@")
        if not _NAME.fullmatch(name) or (separator and not _NAME.fullmatch(version)):
            raise ModelError(f"model '{text}': expected NAME or NAME@VERSION, of letters, digits and _ . + -")
        return cls(name, version)


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch to a model.

    Attributes:
        serial: counts the switches.
        model: `NAME` or `NAME@VERSION`.
        at: seconds since 1970, by the device's clock.
        why: `use`, `install`, `rollback` or `update`.
    """

    serial: int
    model: str
    at: float
    why: str


class Slots:
    """The folder of installed models."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or models_folder()

    def path(self, model: ModelId) -> Path:
        """The folder of an installed version."""
        return self.folder / model.name / model.version

    def has(self, model: ModelId) -> bool:
        """Whether this version is installed."""
        return bool(model.version) and os.path.isdir(self.path(model))  # noqa: PTH112 - False if forbidden

    def installed(self) -> list[ModelId]:
        """All installed versions, by name and the numbers of their version, the newest last.

        What has the same numbers, or none, comes in the order of its files' time, which a wrong clock changes.
        """
        with suppress(OSError):
            versions = [
                path
                for path in self.folder.glob("*/*")
                if path.is_dir() and _NAME.fullmatch(path.parent.name) and _NAME.fullmatch(path.name)
            ]
            versions.sort(
                key=lambda path: (path.parent.name, version_numbers(path.name), path.stat().st_mtime, path.name)
            )
            return [ModelId(path.parent.name, path.name) for path in versions]
        return []

    def current(self) -> ModelId | None:
        """The chosen model; None if nobody chose one."""
        with suppress(OSError, ModelError):
            name, _, version = os.readlink(self.folder / _LINK).partition("/")  # noqa: PTH115 - it may lead nowhere
            return ModelId.parse(f"{name}@{version}" if version else name)
        return None

    def history(self) -> list[Switch]:
        """The switches, the oldest first. The last may have been cut short before the link was switched."""
        try:
            found = json.loads((self.folder / _HISTORY).read_text())
            return [Switch(**entry) for entry in found]
        except (OSError, ValueError, TypeError):
            return []

    def revoked(self) -> dict[str, str]:
        """Why a version must not run any more, by `NAME@VERSION`, also of shipped models."""
        with suppress(OSError, ValueError, AttributeError):
            found = json.loads((self.folder / _REVOKED).read_text())
            return {str(model): str(why) for model, why in found.items()}
        return {}

    def revoke(self, reasons: dict[str, str]) -> None:
        """Remember revoked versions. Call it with the lock held. Raises FerError if that cannot be written."""
        with self._writing():
            text = json.dumps({**self.revoked(), **reasons}, indent=1)
            replace_file(self.folder / _REVOKED, text.encode(), _READABLE)

    def in_effect(self) -> Switch | None:
        """The switch that chose the current model."""
        current = str(self.current())
        return next((switch for switch in reversed(self.history()) if switch.model == current), None)

    def earlier(self) -> list[ModelId]:
        """The models that were in use before the current one, the latest first; each once, and still there."""
        current, history = self.current(), self.history()
        last = self.in_effect()
        before = [ModelId.parse(switch.model) for switch in reversed(history) if last and switch.serial < last.serial]
        unique = dict.fromkeys(model for model in before if model != current)
        return [model for model in unique if not model.version or self.has(model)]

    def use(self, model: ModelId, why: str) -> None:
        """Let `current` name another model. Call it with the lock held. Raises FerError if that cannot be written."""
        history = self.history()
        done = self.in_effect()
        history = [switch for switch in history if done and switch.serial <= done.serial]
        serial = max([switch.serial for switch in self.history()], default=0) + 1
        history.append(Switch(serial, str(model), time.time(), why))
        text = json.dumps([asdict(switch) for switch in history[-_LONGEST_HISTORY:]], indent=1)
        with self._writing():
            replace_file(self.folder / _HISTORY, text.encode(), _READABLE)
            link = self.folder / f"{TEMPORARY}{_LINK}"
            link.unlink(missing_ok=True)
            link.symlink_to(f"{model.name}/{model.version}" if model.version else model.name)
            link.replace(self.folder / _LINK)
            sync_folder(self.folder)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder, which is removed afterwards; `add` makes it a version.

        It is on the same disk, or, if this is root and another user owns the models, where only root changes it.
        """
        if other_owner(self.folder):
            folder = Path(tempfile.mkdtemp(prefix="fer-edge-"))
        else:
            with self._writing():
                folder = self._new_folder()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, staged: Path, model: ModelId) -> None:
        """Make a staged folder a version. Call it with the lock held. Raises FerError if that fails."""
        target = self.path(model)
        contents = {} if staged.parent == self.folder else {path.name: path.read_bytes() for path in staged.iterdir()}
        with self._writing():
            if contents:  # read as root, and written as the owner
                staged = self._new_folder()
                for name, content in contents.items():
                    (staged / name).write_bytes(content)
            for path in sorted(staged.iterdir()):
                path.chmod(_READABLE)  # also where root's umask is strict: the service reads them
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            sync_folder(staged)
            target.parent.mkdir(mode=0o755, exist_ok=True)
            staged.rename(target)
            sync_folder(target.parent)
            sync_folder(self.folder)

    def remove(self, model: ModelId) -> None:
        """Delete a version. Call it with the lock held. Raises FerError if that fails."""
        aside = self.folder / f"{TEMPORARY}{model.name}-{model.version}"
        with self._writing():
            shutil.rmtree(aside, ignore_errors=True)
            self.path(model).rename(aside)  # at once, so that no half of it is ever read
            shutil.rmtree(aside)
            with suppress(OSError):  # other versions are still in there
                self.path(model).parent.rmdir()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep others from changing the models. Raises FerError if another process does now, or it is forbidden."""
        with self._writing():
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with self._writing():
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.fdopen(os.open(self.folder / _LOCK, flags, 0o644), "rb")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FerError(f"{self.folder}: another process changes the models. Try again later") from None
            with self._writing():
                self._remove_left()
            yield

    def _remove_left(self) -> None:
        """Remove what a killed process left."""
        for left in self.folder.glob(f"{TEMPORARY}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def _new_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self.folder))
        folder.chmod(0o755)
        return folder

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with acting_as_owner(self.folder):
                yield
        except PermissionError as error:
            fix = "Run it with sudo" if os.geteuid() else "The owner of the models may not write it either: remove it"
            raise FerError(f"{error.filename or self.folder}: may not be written. {fix}") from error
        except OSError as error:
            raise FerError(
                f"{self.folder}: cannot be written ({reason(error)}). More space: fer-edge models prune"
            ) from error


def models_folder() -> Path:
    """The folder of installed models: the service's for root and for the service's users, else the user's own."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    return (SERVICE_DATA if os.access(SERVICE_DATA, os.R_OK | os.X_OK) else user_data()) / "models"


def version_numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, such as (1, 2) of `v1.2.0-rc1`: without zeros at their end."""
    found = re.match(r"v?([0-9]+(?:\.[0-9]+)*)", version)
    numbers = [int(number) for number in found[1].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
