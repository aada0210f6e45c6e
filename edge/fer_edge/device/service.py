"""What `fer-edge service status` shows of the systemd unit."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from fer_edge.errors import ConfigError, MissingDependency

UNIT = "fer-edge.service"

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
# How many of the journal's last warnings and errors are shown.
_WARNINGS = 8


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The unit, for people."""

    state: str
    runs: bool
    facts: dict[str, str]
    warnings: tuple[str, ...]


def service_state() -> ServiceState:
    """Ask systemd.

    Raises:
        MissingDependency: there is no systemd here.
        ConfigError: the unit is not installed.
    """
    shown = dict(
        line.split("=", 1)
        for line in _ask(
            "systemctl", "show", UNIT, f"--property=LoadState,ActiveState,SubState,{','.join(_PROPERTIES)}"
        )
    )
    if shown.get("LoadState") != "loaded":
        raise ConfigError(f"{UNIT} is {shown.get('LoadState', 'not there')}. Install it with sudo systemd/install.sh")
    runs = shown["ActiveState"] == "active"
    if runs or shown["SubState"].startswith("start"):  # both are of a process that has ended
        del shown["Result"], shown["ExecMainStatus"]
    if (memory := shown.get("MemoryCurrent", "")).isdecimal():
        shown["MemoryCurrent"] = f"{int(memory) / 1e6:.0f} MB"
    known = {name: shown.get(key, "") for key, name in _PROPERTIES.items()}
    return ServiceState(
        state=f"{shown['ActiveState']} ({shown['SubState']})",
        runs=runs,
        facts={name: value for name, value in known.items() if value not in {"", "[not set]"}},
        warnings=tuple(_ask("journalctl", "-u", UNIT, "-p", "warning", "-n", str(_WARNINGS), "--no-pager", "-q")),
    )


def _ask(program: str, *arguments: str) -> list[str]:
    found = shutil.which(program)
    if found is None:
        raise MissingDependency(f"{program} is not there: this machine has no systemd")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode:
        raise MissingDependency(f"{program} does not answer ({(done.stderr.strip().splitlines() or ['no reason'])[0]})")
    return done.stdout.splitlines()
