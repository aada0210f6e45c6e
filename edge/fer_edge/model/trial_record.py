"""What the trials of new models found, in a file that the service writes and others read.

Each instance of the service has its own, in a folder beside the installed models: the updater sees it, and sees nothing
else of what the service keeps.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from fer_edge.data_folder import INSTANCE_VARIABLE
from fer_edge.files import replace_file
from fer_edge.model.slots import ModelId, models_folder

_FOLDER = "trials"
# So many verdicts are kept.
_MOST_VERDICTS = 50
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial ended.

    Attributes:
        model: `NAME@VERSION`.
        serial: of the switch to it; a later switch to the same model begins another trial.
        passed: whether it stays.
        reason: one line for people.
        at: seconds since 1970, by the device's clock.
    """

    model: str
    serial: int
    passed: bool
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a trial is; or how long the model that is in use has run, without a trial.

    Attributes:
        model: `NAME@VERSION`.
        serial: of the switch to it; 0 without a trial.
        seconds: for which frames were judged, over all restarts.
        faces: on which both models were compared since the last start.
        deaths: how often the process ended without closing, as by a crash or the watchdog.
        lived: seconds from the start to the end of the processes that have ended.
        boot: identifies the boot in which it runs; empty when it was closed.
        began: when the process began, by `uptime`.
    """

    model: str
    serial: int
    seconds: float = 0.0
    faces: int = 0
    deaths: int = 0
    lived: float = 0.0
    boot: str = ""
    began: float = 0.0

    def started(self) -> Progress:
        """The same at the start of a process; one that died in this boot is counted."""
        died = self.boot == boot_id()
        lived = self.lived + (uptime() - self.began if died else 0.0)
        return replace(self, deaths=self.deaths + died, lived=lived, boot=boot_id(), began=uptime())

    def closed(self) -> Progress:
        """The same at the orderly end of a process."""
        return replace(self, lived=self.lived + uptime() - self.began, boot="")


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """The verdicts, the trial in progress, and how often the process dies with the model that is in use without one."""

    verdicts: tuple[Verdict, ...] = ()
    progress: Progress | None = None
    usual: Progress | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it; empty if there is none that can be read."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads(path.read_text())
            progress, usual = (Progress(**found[key]) if found[key] else None for key in ("progress", "usual"))
            return cls(tuple(Verdict(**verdict) for verdict in found["verdicts"]), progress, usual)
        return cls()

    def write(self, path: Path) -> None:
        """Write it atomically. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(asdict(self), indent=1).encode())

    def ended(self, verdict: Verdict) -> TrialRecord:
        """The same with the end of the trial."""
        return TrialRecord((*self.verdicts, verdict)[-_MOST_VERDICTS:], usual=self.usual)

    def begun(self, model: ModelId, serial: int) -> TrialRecord:
        """The same with a trial that goes on, or begins; a process that died in this boot is counted."""
        progress = self.progress
        if progress is None or (progress.model, progress.serial) != (str(model), serial):
            progress = Progress(str(model), serial)
        return replace(self, progress=progress.started())

    def in_use(self, model: ModelId) -> TrialRecord:
        """The same at the start of a process that uses a model without a trial."""
        usual = self.usual if self.usual and self.usual.model == str(model) else Progress(str(model), 0)
        return replace(self, usual=usual.started())

    def usual_deaths(self, model: ModelId, seconds: float) -> float:
        """How often the process would have died in so many seconds with a model that was in use; 0 if unknown."""
        usual = self.usual
        if usual is None or usual.model != str(model) or not usual.lived:
            return 0.0
        return usual.deaths * seconds / usual.lived

    def verdict(self, model: ModelId, serial: int) -> Verdict | None:
        """How the trial after this switch ended; None if it has not."""
        return next((one for one in self.verdicts if (one.model, one.serial) == (str(model), serial)), None)


def record_path() -> Path:
    """The record of this process's instance of the service, or of the default one."""
    return models_folder().parent / _FOLDER / f"{os.environ.get(INSTANCE_VARIABLE) or 'default'}.json"


def failed_models(folder: Path | None = None) -> dict[str, str]:
    """The reasons of all failed trials by `NAME@VERSION`, from every instance of the service beside a models folder."""
    paths: Iterable[Path] = ()
    with suppress(OSError):
        paths = sorted(((folder or models_folder()).parent / _FOLDER).glob("*.json"))
    verdicts = [verdict for path in paths for verdict in TrialRecord.read(path).verdicts]
    return {verdict.model: verdict.reason for verdict in verdicts if not verdict.passed}


def uptime() -> float:
    """Seconds since this machine was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Identifies this boot (random(4)); the same text everywhere if the kernel does not tell."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return "unknown"
