"""Find out why a V4L2 device cannot be opened, which OpenCV does not report."""

from __future__ import annotations

import errno
import fcntl
import getpass
import grp
import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

from fer_edge.errors import reason

# linux/videodev2.h: the request for a device's abilities, and for buffers of its pictures.
_QUERYCAP, _REQBUFS = 0x80685600, 0xC0145608
_CAPTURE, _DEVICE_CAPS, _MMAP = 0x1, 0x80000000, 1
_CAPTURE_MPLANE = 0x1000


def why_device_fails(device: Path) -> str:
    """What is wrong with a V4L2 device, and how to fix it; empty if the reason is unknown."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return _how_to_get_permission(device)
    except FileNotFoundError:
        there = ", ".join(sorted(str(path) for path in device.parent.glob("video*"))) or "none"
        return f"there is no {device}. Video devices: {there}"
    except OSError as error:
        return f"{device} cannot be opened ({reason(error)})"
    try:
        return _what_is_wrong(device, descriptor)
    finally:
        os.close(descriptor)


def _how_to_get_permission(device: Path) -> str:
    status = device.stat()
    with suppress(KeyError):
        group = grp.getgrgid(status.st_gid).gr_name
        if status.st_mode & stat.S_IWGRP and group != "root":
            return (
                f"no permission for {device}, which belongs to the group {group}. "
                f"Fix: sudo usermod -aG {group} {_user()}, then log in again"
            )
    return f"no permission for {device}. Fix: sudo chgrp video {device} && sudo chmod g+rw {device}"


def _user() -> str:
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return "$USER"


def _what_is_wrong(device: Path, descriptor: int) -> str:
    abilities = bytearray(104)
    try:
        fcntl.ioctl(descriptor, _QUERYCAP, abilities)
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL}:
            return f"{device} is no video device"
        return f"{device} does not answer ({reason(error)})"
    of_driver, of_device = struct.unpack_from("<II", abilities, 84)
    if not (of_device if of_driver & _DEVICE_CAPS else of_driver) & (_CAPTURE | _CAPTURE_MPLANE):
        return f"{device} delivers no frames: a camera has several devices, try another. List: v4l2-ctl --list-devices"
    try:  # to give back no buffers at all is refused while another program has some
        fcntl.ioctl(descriptor, _REQBUFS, struct.pack("<5I", 0, 1, _MMAP, 0, 0))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"{device} is in use by another program{_users_of(device)}"
    return ""


def _users_of(device: Path) -> str:
    """The processes that have a device open, as far as this user may see them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            if any(os.readlink(link) == str(device) for link in (process / "fd").iterdir()):  # noqa: PTH115
                found.append(f"{(process / 'comm').read_text().strip()}, process {process.name}")
    return f": {'; '.join(found)}" if found else ""
