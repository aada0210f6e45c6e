"""Let root change files in a folder with no more rights than the folder's owner has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def other_owner(folder: Path) -> os.stat_result | None:
    """As root, the owner of a folder, or of the link to it, who is not root; else None."""
    if os.geteuid() == 0:
        with suppress(FileNotFoundError):
            return next((found for found in (folder.lstat(), folder.stat()) if found.st_uid), None)
    return None


@contextmanager
def acting_as_owner(folder: Path) -> Iterator[None]:
    """Act as the owner of a folder, if this process is root's and the folder is not.

    The owner could put links there while root writes. So root may follow them only where the owner could, too. The new
    files belong to the owner (seteuid(2), which holds for all threads).
    """
    owner = other_owner(folder)
    if owner is None:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
