"""The fingerprint of a root file, to compare by eye."""

from __future__ import annotations

import hashlib


def fingerprint(content: bytes) -> str:
    """The SHA-256 of a file, in groups of four hexadecimal digits."""
    digits = hashlib.sha256(content).hexdigest()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))
