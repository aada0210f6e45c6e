"""The table `[mqtt]`: address and login of a broker."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from fer_edge.config.section import Section
from fer_edge.data_folder import INSTANCE_VARIABLE

# What stands for MQTT in the URLs of other programs.
_FIXES = {
    **dict.fromkeys(("tcp", "mqtt+tcp"), "mqtt://NAME"),
    **dict.fromkeys(("ssl", "tls", "mqtt+ssl", "mqtt+tls"), "mqtts://NAME"),
    **dict.fromkeys(
        ("ws", "wss"), "the broker's port for MQTT itself, as in mqtt://NAME:1883: WebSockets are not spoken"
    ),
}
_LOGIN = "user and password do not belong in the URL: move them to mqtt.username and mqtt.password_file"
# The ends of an address without brackets that are meant as a port.
_PORTS = (":1883", ":8883")


def _default_topic() -> str:
    """The default topic, one per device and instance, so that two never overwrite each other."""
    host = re.sub(r"[#+/\0]", "-", socket.gethostname().partition(".")[0]) or "localhost"
    instance = os.environ.get(INSTANCE_VARIABLE)
    return f"fer-edge/{host}/{instance}" if instance else f"fer-edge/{host}"


def _credential() -> Path | None:
    """The file with the password that systemd passes to the service (systemd.exec(5), LoadCredential=)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder or "", "mqtt-password")
    return path if folder and path.is_file() else None


class MqttConfig(Section):
    """A broker that receives every change. Nothing is sent unless `host` is set."""

    host: str | None = Field(default=None, min_length=1, examples=["broker.local"])
    """Name or address, HOST:PORT, or a URL such as mqtt://broker:1883; mqtts:// means TLS."""
    port: int = Field(default=1883, ge=1, le=65535)
    """The default with TLS is 8883."""
    topic: str = Field(
        default_factory=_default_topic,
        min_length=1,
        pattern=r"^[^#+]*$",
        examples=["fer-edge/kitchen"],
        json_schema_extra={"environment": INSTANCE_VARIABLE},
    )
    """What the topics begin with. Not set: fer-edge/HOST, the name of this machine; fer-edge/HOST/NAME for the
    service's instance NAME. Two devices must not share one."""
    username: str | None = Field(default=None, examples=["fer"])
    """Not set: the broker asks for none."""
    password: SecretStr | None = Field(default=None, examples=["secret"])
    """Password of `username`. It is better to keep it in a file: see `password_file`."""
    password_file: Path | None = Field(
        default_factory=_credential,
        examples=["/etc/fer-edge/mqtt-password"],
        json_schema_extra={"environment": "CREDENTIALS_DIRECTORY"},
    )
    """A file that contains only the password. Not set: systemd's credential mqtt-password, if the service has it."""
    tls: bool = False
    """Encrypt the connection, and check the broker's certificate. An mqtts:// URL, `cafile` or `certificate` mean
    true."""
    cafile: Path | None = Field(default=None, examples=["/etc/fer-edge/ca.pem"])
    """Certificates (PEM) of the trusted authorities. Not set: those of the system."""
    certificate: Path | None = Field(default=None, examples=["/etc/fer-edge/client.pem"])
    """Certificate (PEM) of this client, for a broker that asks for one."""
    key: Path | None = Field(default=None, examples=["/etc/fer-edge/client.key"])
    """Private key (PEM) of `certificate`."""
    interval: float = Field(default=1, ge=0.1, le=60)
    """Seconds between two messages on `TOPIC/state`, at least."""
    snapshots: bool = False
    """Send the annotated picture, too, on `TOPIC/snapshot`: when something changed while somebody is in view, once per
    ten seconds at most. With `blur` faces are hidden on it."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: object) -> object:
        """Split a URL or HOST:PORT, and find out whether TLS is meant."""
        if not isinstance(values, dict):
            return values
        found: dict[str, object] = {}
        scheme = ""
        if isinstance(values.get("host"), str):
            scheme, host, port = _address(values["host"])
            found = {"host": host} if port is None else {"host": host, "port": port}
        if scheme == "mqtts" and values.get("tls") is False:
            raise ValueError("mqtts:// means TLS, and tls = false does not: remove one of them")
        if "tls" not in values and (scheme == "mqtts" or "cafile" in values or "certificate" in values):
            found["tls"] = True
        if {**values, **found}.get("tls") is True and "port" not in values:
            found.setdefault("port", 8883)
        return {**values, **found}

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.host is None and self.model_fields_set:
            raise ValueError("host is missing, and nothing is sent without it")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both or none")
        if {"password", "password_file"} <= self.model_fields_set:
            raise ValueError("password and password_file are both given: remove one of them")
        if {"password", "password_file"} & self.model_fields_set and self.username is None:
            raise ValueError("username is missing, and the password goes with it")
        if not self.tls and (self.cafile or self.certificate):
            raise ValueError("cafile and certificate are for TLS, and tls is false: remove that")
        return self


def _address(given: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a name, HOST:PORT or a URL; an IPv6 address may stand in brackets.

    Raises:
        ValueError: it is none of these. The message never shows what may be a password.
    """
    scheme, separator, address = given.strip().rpartition("://")
    scheme = scheme.lower()
    if "@" in given:
        raise ValueError(f"host: {_LOGIN}")
    if not separator and (found := re.match(r"(mqtts?)(:/?|//)(?=[^/\d])", address, re.IGNORECASE)):
        raise ValueError(f"host: after {found[1]} comes ://, as in {found[1]}://NAME")
    if separator and scheme not in {"mqtt", "mqtts"}:
        raise ValueError(f"host: {scheme}:// is no broker. Give {_FIXES.get(scheme, 'a name, or mqtt://NAME')}")
    address = address.removesuffix("/")
    if re.search(r"[/?#]", address):
        raise ValueError("host: after the host and the port nothing may follow. A topic belongs in mqtt.topic")
    host, port = _split(address)
    if _is_link_local(host):
        raise ValueError(f"host: {host} needs the interface that leads to it, as in {host}%eth0")
    if not _is_host(host):
        raise ValueError(f"host: {host!r} is no name and no address" if host else "host: the name is missing")
    return scheme, host, int(port) if port else None


def _split(address: str) -> tuple[str, str]:
    """Host, without brackets, and port, which may be empty. Raises ValueError."""
    if _is_address(address):
        if address.endswith(_PORTS):
            raise ValueError(
                f"host: is {address} an address and its port? Put the address in brackets, as in [::1]:1883"
            )
        return address, ""
    host, colon, port = address.rpartition(":")
    if address.endswith("]") or not colon:
        host, port, colon = address, "", ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1].replace("%25", "%")  # the scope of an address in a URL (RFC 6874)
    elif ":" in host:
        raise ValueError("host: with more than one colon it must be an IPv6 address, in brackets if a port follows")
    if colon and not (port.isascii() and port.isdecimal()):
        raise ValueError(f"host: the port {port!r} is no number")
    return host, port


def _is_link_local(host: str) -> bool:
    """Whether it is an address of each network that is attached to this machine, and names none (RFC 4007, 6)."""
    if not _is_address(host) or ":" not in host:
        return False
    address = ipaddress.IPv6Address(host)
    return address.is_link_local and address.scope_id is None


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _is_host(host: str) -> bool:
    if _is_address(host):
        return True
    with suppress(UnicodeError):
        labels = host.encode("idna").decode().removesuffix(".")
        # A name does not end in a number (RFC 3696, 2): that is an address with a mistake.
        return re.fullmatch(r"([A-Za-z0-9_-]+\.)*(?!\d+$)[A-Za-z0-9_-]+", labels) is not None
    return False
