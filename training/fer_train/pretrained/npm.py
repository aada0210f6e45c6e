"""Take files out of a package of the npm registry, verified by their hashes."""

from __future__ import annotations

import io
import tarfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from fer_edge.errors import ConfigError, FerError, reason
from fer_edge.model.bundle import sha256

REGISTRY = "https://registry.npmjs.org/"
# No package that we use has as many bytes.
_LARGEST = 64_000_000
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package of one version: `files` maps the names in it to their SHA-256."""

    name: str
    version: str
    sha256: str
    files: Mapping[str, str]

    @property
    def address(self) -> str:
        """The path of its archive in a registry."""
        return f"{self.name}/-/{self.name.rpartition('/')[2]}-{self.version}.tgz"


def download(package: NpmPackage, registry: str = REGISTRY) -> bytes:
    """Download a package's archive.

    Raises:
        ConfigError: the registry is no address.
        FerError: the download failed.
    """
    if not registry.startswith(("https://", "http://")):
        raise ConfigError(f"--registry {registry}: is no address such as {REGISTRY}")
    url = f"{registry.rstrip('/')}/{package.address}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - the scheme is known
            return bytes(response.read(_LARGEST))
    except (OSError, HTTPException, ValueError) as error:
        raise FerError(
            f"{url}: cannot be downloaded ({_reason(error)}). Connect to the network, or run npm pack "
            f"{package.name}@{package.version} elsewhere and give its file with --archive"
        ) from error


def unpack(package: NpmPackage, archive: bytes, source: str) -> dict[str, bytes]:
    """The files of a package, by name.

    Args:
        package: what is expected.
        archive: the bytes of its `.tgz`.
        source: its name, for messages.

    Raises:
        FerError: the archive or a file has another hash.
    """
    _verify(source, archive, package.sha256)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
        files = {name: _read(members, f"package/{name}") for name in package.files}
    for name, content in files.items():
        _verify(f"{source}: {name}", content, package.files[name])
    return files


def read_archive(path: Path) -> bytes:
    """Read an archive from the disk. Raises ConfigError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error


def _reason(error: Exception) -> str:
    """Why a download failed: the error inside, or `HTTP Error 404: Not Found`."""
    inside = getattr(error, "reason", None)
    return reason(inside if isinstance(inside, Exception) else error)


def _read(members: tarfile.TarFile, name: str) -> bytes:
    file = members.extractfile(name)
    return file.read() if file else b""


def _verify(name: str, content: bytes, expected: str) -> None:
    if sha256(content) != expected:
        raise FerError(f"{name}: its SHA-256 is {sha256(content)}, not {expected}: nothing was written")
