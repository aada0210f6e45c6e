"""Replace files so that a crash or a power cut leaves the old one or the new one, whole."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

# The name of a file that is being written begins with this.
TEMPORARY = ".new-"


def replace_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a temporary file beside it, then move it into place (rename(2) is atomic).

    Args:
        path: the file.
        content: all of its bytes.
        mode: the permissions, whatever the umask; None: as the umask says.

    Raises:
        OSError: it cannot be written; then the old file is still there.
    """
    aside = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(aside, flags, 0o666 if mode is None else mode), "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder safe from a power cut (fsync(2)). Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
