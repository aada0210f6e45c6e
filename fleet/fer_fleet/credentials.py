"""A login for each device, and the topics it may write, as files for mosquitto and for the device."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import ConfigError, reason
from fer_edge.updates.fleet_messages import PREFIX, is_id
from fer_fleet.files import write

OPERATOR = "operator"
# `fleet` would own the topics of all devices (see the last rule of the ACL).
_TAKEN = {OPERATOR, "fleet"}
_PASSWORDS, _ACL, _CONFIG = "passwords", "acl", "mosquitto.conf"
# As mosquitto_passwd has it. The passwords are random, so more rounds would protect nothing.
_ROUNDS = 101
_ACL_TEXT = f"""\
# Written by fer-fleet devices. A device writes what is its own; %u is the user, and each device is one.
user {OPERATOR}
topic readwrite {PREFIX}/#
topic read fer-edge/#

pattern write {PREFIX}/%u/state
pattern write {PREFIX}/%u/usage
pattern readwrite fer-edge/%u/#
"""


@dataclass(frozen=True, slots=True)
class Login:
    """A new login.

    Attributes:
        name: the device, or `operator`.
        password: its password.
        settings: the file with its part of the configuration; None for the operator.
    """

    name: str
    password: str
    settings: Path | None


def add_devices(folder: Path, names: Sequence[str], broker: str, *, replace: bool = False) -> list[Login]:
    """Make logins for devices, and at the first call one for the operator.

    Writes `passwords`, `acl` and `mosquitto.conf` for the broker, and for each device `<id>.toml` and `<id>.password`.

    Args:
        folder: where the files are; made if it is absent.
        names: the devices.
        broker: what devices write into `mqtt.host`.
        replace: give devices that have a login a new password.

    Raises:
        ConfigError: a name cannot be used or is taken, the folder is in a repository, or a file cannot be read or
            written.
    """
    _require_private(folder)
    known = _read(folder)
    for name in names:
        if not is_id(name) or name in _TAKEN:
            raise ConfigError(
                f"{name}: cannot name a device. Use up to 64 letters, digits and _ . -, beginning with one"
            )
        if name in known and not replace:
            raise ConfigError(f"{name}: has a login already. Give it a new password with --replace")
    logins = [Login(name, secrets.token_urlsafe(24), folder / f"{name}.toml") for name in dict.fromkeys(names)]
    if OPERATOR not in known:
        logins.append(Login(OPERATOR, secrets.token_urlsafe(24), None))
    for login in logins:
        known[login.name] = _hash(login.password)
        if login.settings:
            write(folder / f"{login.name}.password", f"{login.password}\n".encode(), mode=0o600)
            write(login.settings, _settings(login.name, broker).encode())
    _write(folder, known)
    return logins


def remove_devices(folder: Path, names: Sequence[str]) -> None:
    """Take the logins of devices away. Raises ConfigError if one has none."""
    known = _read(folder)
    for name in names:
        if name not in known or name in _TAKEN:
            raise ConfigError(f"{name}: has no login in {folder / _PASSWORDS}")
    for name in set(names):
        del known[name]
        for suffix in ("toml", "password"):
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    _write(folder, known)


def _require_private(folder: Path) -> None:
    whole = folder.resolve()
    for place in (whole, *whole.parents):
        if any((place / "metadata").glob("*.root.json")):
            raise ConfigError(f"{folder}: is in a repository, which everybody can read. Give --folder another place")


def _read(folder: Path) -> dict[str, str]:
    """The hashes of the passwords by user."""
    try:
        lines = (folder / _PASSWORDS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / _PASSWORDS}: cannot be read ({reason(error)})") from error
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _write(folder: Path, known: Mapping[str, str]) -> None:
    write(folder / _ACL, _ACL_TEXT.encode())
    place = folder.absolute()
    config = f"allow_anonymous false\npassword_file {place / _PASSWORDS}\nacl_file {place / _ACL}\n"
    write(folder / _CONFIG, config.encode())
    write(folder / _PASSWORDS, "".join(f"{name}:{text}\n" for name, text in known.items()).encode(), mode=0o640)


def _hash(password: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512 (mosquitto_passwd(1))."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _settings(name: str, broker: str) -> str:
    return f"""\
# For this device's /etc/fer-edge/config.toml. Put {name}.password into /etc/fer-edge/mqtt-password.
[mqtt]
host = "{broker}"
topic = "fer-edge/{name}"
username = "{name}"
password_file = "/etc/fer-edge/mqtt-password"

[fleet]
enabled = true
id = "{name}"
"""
