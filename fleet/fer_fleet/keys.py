"""Ed25519 keys as PEM files (PKCS #8): those of root and targets encrypted with a passphrase, the others not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, Signer
from tuf.api.metadata import Role

from fer_edge.errors import ConfigError, reason
from fer_fleet.files import write

# The keys of these roles belong to people. Those of the other two may live on a server, which renews their files.
OFFLINE_ROLES = ("root", "targets")
# Files are named after so many digits of the key's id.
_ID_DIGITS = 12


def short_id(key_id: str) -> str:
    """The beginning of a key's id, as in its file's name."""
    return key_id[:_ID_DIGITS]


def make_key(folder: Path, role: str, passphrase: str | None) -> Key:
    """Make a key and write it to `<role>-<id>.pem`, which only its owner can read.

    Args:
        folder: the folder for the file.
        role: the role that it will sign.
        passphrase: encrypts the file; None writes it as it is.

    Returns:
        The public key.

    Raises:
        ConfigError: the file cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    public = CryptoSigner(private).public_key
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    write(folder / f"{role}-{short_id(public.keyid)}.pem", content, mode=0o600)
    return public


class Keys:
    """The private keys in some folders, such as one on this machine and one on a USB stick."""

    def __init__(self, folders: Sequence[Path], ask: Callable[[str], str]) -> None:
        """Prepare.

        Args:
            folders: where the key files are.
            ask: returns the passphrase of a key file, whose name it is given. Each passphrase is asked for once.
        """
        self.folders = tuple(folders)
        self._ask = ask
        self._passphrases: list[str] = []
        self._loaded: dict[str, Signer] = {}

    def know(self, passphrase: str) -> None:
        """Try this passphrase before asking."""
        self._passphrases.append(passphrase)

    def holds(self, role: Role) -> bool:
        """Whether there are enough keys for a role."""
        return len(self._files(role)) >= role.threshold

    def signers(self, name: str, role: Role) -> list[Signer]:
        """Load as many keys as a role needs.

        Raises:
            ConfigError: there are too few, one cannot be read, or its passphrase is wrong.
        """
        files = self._files(role)
        if len(files) < role.threshold:
            missing = ", ".join(f"{name}-{short_id(each)}.pem" for each in role.keyids if each not in files)
            places = ", ".join(map(str, self.folders))
            raise ConfigError(
                f"{name}: needs {role.threshold} of its keys, and {len(files)} are in {places}. Bring one of {missing}"
            )
        return [self._load(key_id, path) for key_id, path in list(files.items())[: role.threshold]]

    def _files(self, role: Role) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for key_id in role.keyids:
            for folder in self.folders:
                path = next(iter(sorted(folder.glob(f"*-{short_id(key_id)}.pem"))), None)
                if path and key_id not in found:
                    found[key_id] = path
        return found

    def _load(self, key_id: str, path: Path) -> Signer:
        if key_id not in self._loaded:
            try:
                private = self._decrypt(path, path.read_bytes())
            except OSError as error:
                raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error
            signer = CryptoSigner(private)
            if signer.public_key.keyid != key_id:
                raise ConfigError(f"{path}: holds another key than its name says. Bring the right file")
            self._loaded[key_id] = signer
        return self._loaded[key_id]

    def _decrypt(self, path: Path, content: bytes) -> Ed25519PrivateKey:
        for passphrase in (None, *self._passphrases):
            if key := _try(path, content, passphrase):
                return key
        passphrase = self._ask(path.name)
        key = _try(path, content, passphrase)
        if key is None:
            raise ConfigError(f"{path}: the passphrase is wrong")
        self.know(passphrase)
        return key


def _try(path: Path, content: bytes, passphrase: str | None) -> Ed25519PrivateKey | None:
    """Decrypt a key file; None if it needs another passphrase."""
    try:
        key = load_pem_private_key(content, passphrase.encode() if passphrase else None)
    except TypeError:  # encrypted and no passphrase given, or the other way round
        return None
    except ValueError as error:
        if passphrase and b"ENCRYPTED" in content:
            return None
        raise ConfigError(f"{path}: is not a PEM file of a private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: is not an Ed25519 key")
    return key
