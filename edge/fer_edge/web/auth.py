"""Authentication: a password for people, a token for programs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque

from fer_edge.errors import ConfigError

# These are scrypt's parameters (RFC 7914): 16 MB and about 50 ms per try on a laptop.
_N, _R, _P, _LENGTH = 2**14, 8, 1, 32
_PREFIX = "scrypt"
SESSION_S = 30 * 86400
# After this many wrong passwords in this many seconds, all logins are blocked for a while.
_TRIES, _TRIES_S = 5, 60.0


def hash_password(password: str) -> str:
    """The line for `web.password`: scrypt with a random salt."""
    salt = secrets.token_bytes(16)
    return "$".join([_PREFIX, *(base64.urlsafe_b64encode(part).decode() for part in (salt, _scrypt(password, salt)))])


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=_LENGTH)


def is_loopback(host: str) -> bool:
    """Whether an address, or `localhost`, can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Gate:
    """Checks passwords, session cookies and tokens."""

    def __init__(self, password_hash: str | None, token: str | None) -> None:
        """Prepare.

        Args:
            password_hash: result of `hash_password`; None if no password is needed.
            token: token for programs, sent as `Authorization: Bearer TOKEN`.

        Raises:
            ConfigError: the hash is malformed.
        """
        self.needs_login = password_hash is not None
        self._token = token
        self._salt, self._hash = _parse(password_hash) if password_hash else (b"", b"")
        # Sessions outlive a restart of the service, and end with a change of the password.
        self._key = hashlib.sha256(b"session" + self._hash).digest()
        self._wrong: deque[float] = deque(maxlen=_TRIES)

    def must_wait(self) -> bool:
        """Whether there were too many wrong passwords recently."""
        return len(self._wrong) == _TRIES and time.monotonic() - self._wrong[0] < _TRIES_S

    def check_password(self, password: str) -> bool:
        """Whether the password is correct; a wrong one is counted."""
        right = self.needs_login and hmac.compare_digest(_scrypt(password, self._salt), self._hash)
        if not right:
            self._wrong.append(time.monotonic())
        return right

    def new_session(self) -> str:
        """The value of a session cookie."""
        until = f"{int(time.time()) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{until}.{self._sign(until)}"

    def lets_in(self, cookie: str | None, authorization: str | None) -> bool:
        """Whether a request is allowed by its session cookie or its Authorization header."""
        if not self.needs_login:
            return True
        if self._token and hmac.compare_digest((authorization or "").encode(), f"Bearer {self._token}".encode()):
            return True
        until, _, signature = (cookie or "").rpartition(".")
        if not until or not hmac.compare_digest(signature.encode(), self._sign(until).encode()):
            return False
        return int(until.partition(".")[0]) > time.time()

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()


def _parse(password_hash: str) -> tuple[bytes, bytes]:
    try:
        prefix, salt, digest = password_hash.split("$")
        parts = (base64.urlsafe_b64decode(salt), base64.urlsafe_b64decode(digest))
    except ValueError:
        prefix, parts = "", (b"", b"")
    if prefix != _PREFIX or len(parts[1]) != _LENGTH:
        raise ConfigError("web.password: is no hash. Make one with: fer-edge web password")
    return parts
