"""Reads the installed systemd units with their drop-ins, and runs a command inside their sandbox."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import ConfigError

# Names of instances are part of unit names, files and MQTT topics. Some are reserved; systemd/install.sh has this rule
# too.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TAKEN = {"config", "default", "mediapipe", "models", "trials", "web"}

# Units and drop-ins are read from these folders, the one that overrides all others last (systemd.unit(5)).
_FOLDERS = ("/usr/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system")
_CONFIGS = Path("/etc/fer-edge")

# These settings concern how the service starts and stops, not its permissions.
_OF_ITS_LIFE = re.compile(r"Type|NotifyAccess|Exec|Timeout|Watchdog|Restart|Runtime|LogRateLimit|StandardO|StandardE")
_CHECK_UNIT = "fer-edge-check.service"

_NETWORKS = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}
_HOMES = tuple(map(Path, ("/home", "/root", "/run/user")))
_TEMPORARY = tuple(map(Path, ("/tmp", "/var/tmp")))  # noqa: S108 - nothing is written there

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Unit:
    """The instance fer-edge@NAME.service; or fer-edge.service, whose `instance` is empty."""

    instance: str = ""

    @property
    def name(self) -> str:
        """Return the name that systemctl uses."""
        return f"fer-edge@{self.instance}.service" if self.instance else "fer-edge.service"

    @property
    def config(self) -> Path:
        """Return the path of the unit's configuration."""
        return _CONFIGS / f"{self.instance or 'config'}.toml"

    @property
    def install(self) -> str:
        """Return the command that installs the unit."""
        return f"sudo systemd/install.sh{f' --instance {self.instance}' if self.instance else ''}"


def unit_of(instance: str | None) -> Unit:
    """Return the unit of an instance. Raises ConfigError if the name is not allowed."""
    if instance and (not _NAME.fullmatch(instance) or instance in _TAKEN):
        raise ConfigError(
            f"{instance!r} is no name of an instance: use a-z, 0-9, - and _, as in door, and none of "
            f"{', '.join(sorted(_TAKEN))}"
        )
    return Unit(instance or "")


class Sandbox:
    """The settings of a unit's [Service] section in their order, drop-ins included."""

    def __init__(self, unit: Unit, fragment: Path) -> None:
        """Read the files. Raises ConfigError if one cannot be read."""
        self.unit = unit
        self.settings: list[tuple[str, str]] = []
        for path in (fragment, *_drop_ins(unit)):
            try:
                text = path.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{path}: cannot be read ({error})") from error
            self.settings += [(key, _expand(value, unit)) for key, value in _service_lines(text)]

    def forbids(self, host: str) -> bool:
        """Return whether the unit blocks packets to a host. An unknown name counts as another machine."""
        denied, allowed = self._networks("IPAddressDeny"), self._networks("IPAddressAllow")
        addresses = _addresses(host)
        if not addresses:
            return bool(denied) and all(network.is_loopback for network in allowed)
        return all(
            any(address in network for network in denied) and not any(address in network for network in allowed)
            for address in addresses
        )

    def forbids_port(self, port: int) -> bool:
        """Return whether the unit may not listen on a TCP port."""
        allowed: list[str] = []
        for name, value in self.settings:
            if name == "SocketBindAllow":
                allowed = [*allowed, *value.split()] if value else []
        return self._last("SocketBindDeny") == "any" and not any(_covers(rule, port) for rule in allowed)

    @property
    def has_console(self) -> bool:
        """Return whether the unit draws on a console."""
        return bool(self._last("TTYPath"))

    def hides(self, path: Path) -> bool:
        """Return whether the sandbox replaces the folder that holds this path by another one."""
        hidden: tuple[Path, ...] = ()
        if self._last("ProtectHome") in {"yes", "true", "on", "1", "tmpfs"}:
            hidden += _HOMES
        if self._last("PrivateTmp") in {"yes", "true", "on", "1"}:
            hidden += _TEMPORARY
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(folder) for folder in hidden)

    def run(self, command: Sequence[str], credential: Path | None = None) -> int:
        """Run a command with the service's permissions and return its exit code. It needs root.

        Args:
            command: the program and its arguments.
            credential: a file that the command finds at `credential_path()`.
        """
        properties = [f"{key}={value}" for key, value in self.settings if not _OF_ITS_LIFE.match(key)]
        if credential:
            properties.append(f"LoadCredential=config.toml:{credential.resolve()}")
        options = ["--quiet", "--wait", "--pipe", "--collect", f"--unit={_CHECK_UNIT}"]
        options += [f"--property={setting}" for setting in properties]
        return subprocess.run(["systemd-run", *options, "--", *command], check=False).returncode  # noqa: S603, S607

    def _last(self, key: str) -> str:
        return next((value.lower() for name, value in reversed(self.settings) if name == key), "")

    def _networks(self, key: str) -> list[_Network]:
        found: list[_Network] = []
        for name, value in self.settings:
            if name == key and not value:
                found = []  # an empty setting forgets those before
            elif name == key:
                for word in value.split():
                    with suppress(ValueError):
                        found += [ipaddress.ip_network(part, strict=False) for part in _NETWORKS.get(word, (word,))]
        return found


def credential_path() -> str:
    """Return the path at which `Sandbox.run` provides its credential."""
    return f"/run/credentials/{_CHECK_UNIT}/config.toml"


def sandbox_of(unit: Unit, fragment: Path | None = None) -> Sandbox | None:
    """Return the sandbox of a unit, or of the file that it will be installed from; None if there is neither."""
    template = "fer-edge@.service" if unit.instance else unit.name
    installed = [path for folder in reversed(_FOLDERS) if (path := Path(folder, template)).is_file()]
    found = fragment or next(iter(installed), None)
    return Sandbox(unit, found) if found else None


def can_run_units() -> bool:
    """Return whether this process may start units: systemd is running, and the user is root."""
    return os.geteuid() == 0 and Path("/run/systemd/system").is_dir() and shutil.which("systemd-run") is not None


def _drop_ins(unit: Unit) -> list[Path]:
    names = ["fer-edge@.service.d"] if unit.instance else []
    folders = [Path(folder, name) for name in (*names, f"{unit.name}.d") for folder in _FOLDERS]
    by_name = {path.name: path for folder in folders for path in folder.glob("*.conf")}
    return [by_name[name] for name in sorted(by_name)]


def _service_lines(text: str) -> list[tuple[str, str]]:
    section, found = "", []
    for line in text.replace("\\\n", " ").splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped
        elif section == "[Service]" and "=" in stripped and stripped[0] not in "#;":
            key, _, value = stripped.partition("=")
            found.append((key.strip(), value.strip()))
    return found


def _expand(value: str, unit: Unit) -> str:
    """Replace the specifiers that the units use (systemd.unit(5))."""
    known = {"%i": unit.instance, "%n": unit.name, "%%": "%"}
    return re.sub(r"%[in%]", lambda found: known[found[0]], value)


def _covers(rule: str, port: int) -> bool:
    """Return whether a rule such as `ipv4:tcp:8000-8100` is about a TCP port (SocketBindAllow= in systemd)."""
    parts = rule.split(":")
    first, _, last = parts[-1].partition("-")
    if not first.isdecimal():
        return "udp" not in parts  # any, or all ports of a family
    return "udp" not in parts and int(first) <= port <= int(last or first)


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    with suppress(ValueError):
        return [ipaddress.ip_address(host.partition("%")[0])]
    with suppress(OSError, UnicodeError):
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in socket.getaddrinfo(host, None)]
    return []
