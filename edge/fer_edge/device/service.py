"""Reads the state of the systemd units and their journal for `fer-edge service`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.device.unit import Unit
from fer_edge.errors import ConfigError, MissingDependency

_PROPERTIES = {
    "StatusText": "it says",
    "ActiveEnterTimestamp": "since",
    "NRestarts": "restarts since boot",
    "Result": "last result",
    "ExecMainStatus": "last exit code",
    "MemoryCurrent": "memory",
    "UnitFileState": "at boot",
    "DropInPaths": "drop-ins",
}
# So many of the last warnings and errors of the journal are shown.
_WARNINGS = 8
_JOURNALS = ("/var/log/journal", "/run/log/journal")
_INSTANCE = re.compile(r"fer-edge@(.+)\.service")


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The state of a unit, as texts."""

    unit: Unit
    state: str
    runs: bool
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class JournalLine:
    """A warning or an error of the journal."""

    unit: str
    age_s: float
    message: str


def installed_units() -> list[Unit]:
    """Return the service and those of its instances that start at boot, are running, or have failed.

    Raises:
        MissingDependency: there is no systemd here.
        ConfigError: none is installed.
    """
    patterns = ("fer-edge.service", "fer-edge@*.service")
    listed = _ask("systemctl", "list-units", "--all", "--plain", "--no-legend", *patterns)
    names = {line.split()[0] for line in listed if "not-found" not in line.split()}
    names |= {path.name for path in Path("/etc/systemd/system").glob("*.wants/fer-edge*.service")}
    instances = sorted(found[1] for name in names if (found := _INSTANCE.fullmatch(name)))
    units = [*([Unit()] if "fer-edge.service" in names else []), *map(Unit, instances)]
    if not units:
        raise ConfigError("fer-edge.service is not installed. Install it with sudo systemd/install.sh")
    return units


def service_state(unit: Unit) -> ServiceState:
    """Ask systemd for the state of a unit.

    Raises:
        MissingDependency: there is no systemd here.
        ConfigError: the unit is not installed.
    """
    wanted = f"--property=LoadState,ActiveState,SubState,{','.join(_PROPERTIES)}"
    shown = dict(line.split("=", 1) for line in _ask("systemctl", "show", unit.name, wanted))
    if shown.get("LoadState") != "loaded" or (unit.instance and not unit.config.exists()):
        raise ConfigError(
            f"{unit.name} is not installed ({shown.get('LoadState', 'no state')}). Install it with {unit.install}"
        )
    runs = shown["ActiveState"] == "active"
    if runs or shown["SubState"].startswith("start"):  # both are of a process that has ended
        del shown["Result"], shown["ExecMainStatus"]
    if (memory := shown.get("MemoryCurrent", "")).isdecimal():
        shown["MemoryCurrent"] = f"{int(memory) / 1e6:.0f} MB"
    known = {name: shown.get(key, "") for key, name in _PROPERTIES.items()}
    return ServiceState(
        unit=unit,
        state=f"{shown['ActiveState']} ({shown['SubState']})",
        runs=runs,
        facts={name: value for name, value in known.items() if value not in {"", "[not set]"}},
    )


def may_read_journal() -> bool:
    """Return whether this user may read the services' journal: root and the group systemd-journal may."""
    files = [path for folder in _JOURNALS for path in Path(folder).glob("*/system.journal")]
    return os.geteuid() == 0 or any(os.access(path, os.R_OK) for path in files)


def last_warnings(units: Sequence[Unit]) -> Iterator[JournalLine]:
    """Return the last warnings and errors of these units, the newest last. Raises MissingDependency."""
    options = ("--priority=warning", f"--lines={_WARNINGS}", "--output=json", "--no-pager", "--quiet")
    for line in _ask("journalctl", *_of(units), *options):
        entry = json.loads(line)
        message = entry.get("MESSAGE") or ""
        if not isinstance(message, str):  # a list of bytes, where it is not UTF-8
            message = bytes(message).decode(errors="replace")
        age_s = time.time() - int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        yield JournalLine(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT") or "", age_s, message)


def show_journal(units: Sequence[Unit], lines: int, *, follow: bool) -> int:
    """Print the journal of these units with journalctl, and return its exit code."""
    options = [f"--lines={lines}", "--no-pager", *(["--follow"] if follow else [])]
    program = _find("journalctl")
    return subprocess.run([program, *_of(units), *options], check=False).returncode  # noqa: S603 - fixed words


def _of(units: Sequence[Unit]) -> list[str]:
    return [f"--unit={unit.name}" for unit in units]


def _ask(program: str, *arguments: str) -> list[str]:
    found = _find(program)
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode:
        raise MissingDependency(f"{program} does not answer ({(done.stderr.strip().splitlines() or ['no reason'])[0]})")
    return done.stdout.splitlines()


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise MissingDependency(f"{program} is not there: this machine has no systemd")
    return found
