"""The daily counts of a fleet's devices in one DuckDB file, and how the devices compare."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from fer_edge.errors import ConfigError
from fer_edge.updates.fleet_messages import DeviceUsage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS days (
    device VARCHAR, day DATE, model VARCHAR, recorded_s BIGINT, frames BIGINT, people BIGINT, camera_lost_s DOUBLE,
    drift VARCHAR, PRIMARY KEY (device, day)
);
CREATE TABLE IF NOT EXISTS labels (
    device VARCHAR, day DATE, label VARCHAR, seconds DOUBLE, PRIMARY KEY (device, day, label)
);
CREATE TABLE IF NOT EXISTS means (
    device VARCHAR, day DATE, feature VARCHAR, mean DOUBLE, PRIMARY KEY (device, day, feature)
);
"""
# Means are weighted by the seconds in which faces were in view, since each face is sampled once per second.
_COMPARE = """
WITH seen AS (SELECT device, day, sum(seconds) AS seconds FROM labels GROUP BY ALL),
     recent AS (SELECT * FROM days WHERE day > ?)
SELECT device, count(*), sum(people), coalesce(sum(seconds), 0), arg_max(drift, day), arg_max(model, day),
       {confidence}, {brightness}
FROM recent LEFT JOIN seen USING (device, day) GROUP BY device ORDER BY device
"""
_MEAN = """
(SELECT sum(mean * s.seconds) / sum(s.seconds) FROM means m JOIN seen s USING (device, day)
 WHERE m.feature = '{name}' AND m.device = recent.device AND m.day > ? AND s.seconds > 0)
"""
# Faces with a lower mean grey level (0 to 255) are dark: of FER2013's validation faces, 2.9 % are (the reference in
# models/ferplus7/model.json).
_DARK = 64.0
# A device is less sure than the others if its confidence is lower than their median by so many robust standard
# deviations, and by so much.
_DEVIATIONS = 3.0
_LESS_SURE = 0.03


@dataclass(frozen=True, slots=True)
class Device:
    """What a device saw in the days that are compared.

    Attributes:
        name: the device.
        days: days with counts.
        people: people that were counted.
        face_s: seconds in which faces were in view, summed over faces.
        drift: its drift, as of the last day.
        model: the model of its last day.
        confidence: mean, 0..1; None without faces.
        brightness: mean grey level of faces, 0..255; None without faces.
        remarks: what differs: `drifts`, `less sure`, `too dark`.
    """

    name: str
    days: int
    people: int
    face_s: float
    drift: str
    model: str
    confidence: float | None
    brightness: float | None
    remarks: tuple[str, ...] = ()


def keep(path: Path, usages: Iterable[DeviceUsage]) -> int:
    """Write the days of devices into the file, all or none; a day that is there already is replaced.

    Returns:
        How many days are new.

    Raises:
        ConfigError: the file cannot be used.
    """
    with _open(path) as database:
        before = _count(database)
        database.begin()
        for usage in usages:
            for day in usage.days:
                key = (usage.id, day.day)
                database.execute("DELETE FROM labels WHERE device = ? AND day = ?", key)
                database.execute("DELETE FROM means WHERE device = ? AND day = ?", key)
                values = (*key, day.model, day.recorded_s, day.frames, day.people, day.camera_lost_s, usage.drift)
                database.execute("INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
                for label, seconds in day.face_s.items():
                    database.execute("INSERT INTO labels VALUES (?, ?, ?, ?)", (*key, label, seconds))
                for feature, mean in day.means.items():
                    if mean is not None:
                        database.execute("INSERT INTO means VALUES (?, ?, ?, ?)", (*key, feature, mean))
        database.commit()
        return _count(database) - before


def compare(path: Path, today: date, days: int) -> list[Device]:
    """Compare the devices over the last days. Raises ConfigError if the file cannot be used."""
    since = today - timedelta(days=days)
    query = _COMPARE.format(confidence=_MEAN.format(name="confidence"), brightness=_MEAN.format(name="brightness"))
    with _open(path) as database:
        rows = database.execute(query, (since, since, since)).fetchall()
    found = [Device(*row) for row in rows]
    return [_with_remarks(device, found) for device in found]


def _with_remarks(device: Device, fleet: Sequence[Device]) -> Device:
    remarks = ["drifts"] if device.drift == "drifted" else []
    sure = [each.confidence for each in fleet if each.confidence is not None]
    if device.confidence is not None:
        median = statistics.median(sure)
        spread = 1.4826 * statistics.median(abs(each - median) for each in sure)
        remarks += ["less sure"] if median - device.confidence > max(_DEVIATIONS * spread, _LESS_SURE) else []
    remarks += ["too dark"] if device.brightness is not None and device.brightness < _DARK else []
    return Device(
        device.name,
        device.days,
        device.people,
        device.face_s,
        device.drift,
        device.model,
        device.confidence,
        device.brightness,
        tuple(remarks),
    )


def _count(database: duckdb.DuckDBPyConnection) -> int:
    row = database.execute("SELECT count(*) FROM days").fetchone()
    return int(row[0]) if row else 0


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        database = duckdb.connect(str(path))
        database.execute(_SCHEMA)
    except duckdb.Error as error:
        what = "is used by another program" if "lock" in str(error) else "is no DuckDB file that can be written"
        raise ConfigError(f"{path}: {what}") from error
    return database
