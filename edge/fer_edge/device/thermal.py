"""Read the board's temperature and throttling, and reduce the scans when it is hot."""

from __future__ import annotations

import logging
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

ZONES = Path("/sys/class/thermal")
PLATFORM = Path("/sys/devices/platform")

# These are degrees Celsius: a Raspberry Pi throttles at 80 to 85. A hot board counts as hot until it is below _COOL.
_HOT, _COOL = 80.0, 75.0
_THROTTLED_NOW = 0b1111
# These are bits of `vcgencmd get_throttled`: low voltage, frequency capped, throttled, soft temperature limit. Bits
# from 16 on are about the past.
_LOW_VOLTAGE = 0b0001
# On a hot board, whole scans have this fraction of their usual rate.
_REDUCED = 1 / 3
# The board is checked every so many seconds.
_CHECK_INTERVAL = 10.0
# The board has recovered after this many seconds without heat and throttling: a weak supply fails only now and then.
_HOLD = 180.0


@dataclass(frozen=True, slots=True)
class Heat:
    """One reading.

    Attributes:
        celsius: temperature; None if unknown.
        throttled: the firmware's bits, 0 if all is well; None if unknown.
    """

    celsius: float | None
    throttled: int | None


def read_heat(zones: Path = ZONES, platform: Path = PLATFORM) -> Heat:
    """Read the temperature of the kernel's hottest zone, and the throttling of a Raspberry Pi's firmware."""
    readings = [_millidegrees(path) for path in sorted(zones.glob("thermal_zone*/temp"))]
    known = [reading / 1000 for reading in readings if reading is not None]
    return Heat(max(known, default=None), _throttled(platform))


class Governor:
    """Decides by the temperature how often whole scans are done, and logs changes."""

    def __init__(self, zones: Path = ZONES) -> None:
        self._zones = zones
        self._checked_at: float | None = None
        self._is_hot = False
        self._hot_at = 0.0

    def pace(self, now: float) -> float:
        """The rate of scans as a fraction of the usual one, at `now` seconds; the board is read every ten seconds."""
        if self._checked_at is None or now - self._checked_at >= _CHECK_INTERVAL:
            self._checked_at = now
            self._judge(read_heat(self._zones), now)
        return _REDUCED if self._is_hot else 1.0

    def _judge(self, heat: Heat, now: float) -> None:
        trouble = _trouble(heat, _COOL if self._is_hot else _HOT)
        if trouble:
            self._hot_at = now
            if not self._is_hot:
                _log.warning("the board %s (%s): whole scans are done a third as often", trouble, describe(heat))
            self._is_hot = True
        elif self._is_hot and now - self._hot_at >= _HOLD:
            _log.warning("the board has recovered (%s): whole scans are done as often as before", describe(heat))
            self._is_hot = False


def describe(heat: Heat) -> str:
    """Describe a reading."""
    celsius = "temperature unknown" if heat.celsius is None else f"{heat.celsius:.0f} °C"
    return celsius if heat.throttled is None else f"{celsius}, throttled={heat.throttled:#x}"


def _trouble(heat: Heat, limit: float) -> str:
    bits = (heat.throttled or 0) & _THROTTLED_NOW
    if bits & _LOW_VOLTAGE:
        return "has too low a voltage: check the power supply and its cable"
    if (heat.celsius or 0.0) >= limit:
        return "is hot"
    return "is throttled" if bits else ""


def _millidegrees(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # the zone is switched off
        return None


def _throttled(platform: Path) -> int | None:
    """The firmware's bits: from the kernel if possible, which needs no other program and no access to a device."""
    for path in platform.glob("soc*/soc*:firmware/get_throttled"):
        with suppress(OSError, ValueError):
            return int(path.read_text(), 16)
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        answer = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=2, check=True)  # noqa: S603
        return int(answer.stdout.partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):  # not this board's firmware
        return None
