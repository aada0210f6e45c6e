"""The table `[web]`: where the live page is served, to whom, and what it shows."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from fer_edge.config.section import Section
from fer_edge.errors import ConfigError

# The Unix socket of an instance's live page, in its runtime folder.
SOCKET_NAME = "web.sock"


def _runtime_folder() -> str:
    """The folder that systemd made for this service; empty elsewhere."""
    return os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]


class WebConfig(Section):
    """The live page. No port is opened unless `listen` is set."""

    listen: str | None = Field(default=None, examples=["8080"])
    """[HOST:]PORT, as in 8080 or 0.0.0.0:8080. The default host is 127.0.0.1: only this machine. Or `unix`, for
    `fer-edge web`, which shows several cameras on one page: a socket in the service's runtime folder; or unix:PATH."""
    required: bool = True
    """End if the page cannot be served, as where the port is in use. Otherwise recognition continues without it."""
    picture: Literal["annotated", "blurred", "boxes", "none"] = "annotated"
    """What viewers see: the annotated image, the image with hidden faces, boxes on black, or nothing."""
    fps: float = Field(default=10, gt=0, le=30)
    """Largest number of images per second for viewers."""
    password: SecretStr | None = Field(default=None, examples=["scrypt$…"])
    """Hash of the password, made by `fer-edge web password`. Needed if other machines can reach the page."""
    token: SecretStr | None = Field(default=None, min_length=16, examples=["0123456789abcdef"])
    """For programs, which send `Authorization: Bearer TOKEN`."""
    hosts: tuple[str, ...] = Field(default=(), examples=[["camera.example.org"]])
    """Allowed host names of the page, in addition to the address, localhost and this machine's name."""
    certificate: Path | None = Field(default=None, examples=["/etc/fer-edge/web.pem"])
    """TLS certificate (PEM), with its chain."""
    key: Path | None = Field(default=None, examples=["/etc/fer-edge/web.key"])
    """Private key of the certificate (PEM)."""

    @property
    def is_socket(self) -> bool:
        """Whether it is a Unix socket that is listened on, and no port."""
        return self.listen is not None and self.listen.partition(":")[0] == "unix"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; not for a Unix socket."""
        host, _, port = (self.listen or "").rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    @property
    def url(self) -> str:
        """What to type into a browser; of a Unix socket its name."""
        if self.is_socket:
            return f"unix:{self.socket_path}"
        host, port = self.address
        shown = {"127.0.0.1": "localhost", "0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104
        return f"{'https' if self.certificate else 'http'}://{f'[{shown}]' if ':' in shown else shown}:{port}"

    @property
    def socket_path(self) -> Path | None:
        """The Unix socket that is listened on, if any. Raises ConfigError outside a service, for `unix` without a path.

        That is no mistake in the configuration, which is also read by programs that check it for the service.
        """
        if not self.is_socket:
            return None
        path = (self.listen or "").partition(":")[2]
        if not path and not _runtime_folder():
            raise ConfigError("web.listen: unix is for the service, whose runtime folder systemd names. Give unix:PATH")
        return Path(path or f"{_runtime_folder()}/{SOCKET_NAME}")

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or value.partition(":")[0] == "unix":
            return value
        if not (value.rpartition(":")[2].isdecimal() and int(value.rpartition(":")[2]) < 65536):
            raise ValueError("expected [HOST:]PORT, as in 8080 or 0.0.0.0:8080")
        return value

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both or none")
        return self
