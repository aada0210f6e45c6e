"""What the trials of new models found, in a file that the service writes and others read.

Each instance of the service has its own, in a folder beside the installed models: the updater sees it, and sees nothing
else of what the service keeps.
"""

from __future__ import annotations

import json
import os
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
    """How far a trial is.

    Attributes:
        model: `NAME@VERSION`.
        serial: of the switch to it.
        seconds: for which it ran, over all restarts.
        faces: on which both models were compared since the last start.
        deaths: how often the process ended without closing, as by a crash or the watchdog.
        boot: identifies the boot in which it runs; empty when it was closed.
    """

    model: str
    serial: int
    seconds: float = 0.0
    faces: int = 0
    deaths: int = 0
    boot: str = ""


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """The verdicts, and the trial in progress."""

    verdicts: tuple[Verdict, ...] = ()
    progress: Progress | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it; empty if there is none that can be read."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads(path.read_text())
            progress = found["progress"]
            verdicts = tuple(Verdict(**verdict) for verdict in found["verdicts"])
            return cls(verdicts, Progress(**progress) if progress else None)
        return cls()

    def write(self, path: Path) -> None:
        """Write it atomically. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(asdict(self), indent=1).encode())

    def ended(self, verdict: Verdict) -> TrialRecord:
        """The same with the end of the trial."""
        return TrialRecord((*self.verdicts, verdict)[-_MOST_VERDICTS:])

    def begun(self, model: ModelId, serial: int) -> TrialRecord:
        """The same with a trial that goes on, or begins; a process that died in this boot is counted."""
        progress = self.progress
        if progress is None or (progress.model, progress.serial) != (str(model), serial):
            progress = Progress(str(model), serial)
        died = progress.boot == boot_id()
        return replace(self, progress=replace(progress, deaths=progress.deaths + died, boot=boot_id()))

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


def boot_id() -> str:
    """Identifies this boot (random(4)); the same text everywhere if the kernel does not tell."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return "unknown"
